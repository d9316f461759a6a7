/* What the reader has chosen. Panels read it with get, change it with set and are told of changes by on. */
const DEFAULTS = {
  map: "", axes: null, colour: "", selection: [], focus: -1, pins: { A: -1, B: -1, C: -1 }, groups: [], filters: {},
  search: "", tab: "", k: 10, alpha: 0, dimension: 0, thumbnails: true, lines: true, contours: false, notes: "",
};
/* These change often or follow from others: they are in no address and no file. */
const FLEETING = { hover: -1, tool: "pan", visible: null, camera: 0, worst: [] };
const LONGEST = 4000;

function createStore() {
  const state = { ...structuredClone(DEFAULTS), ...FLEETING }, listeners = [];
  let waiting = new Set(), queued = false;

  function tell() {
    queued = false;
    const changed = waiting;
    waiting = new Set();
    for (const { keys, call } of [...listeners]) if (keys.some((key) => changed.has(key))) call(state, changed);
  }

  return {
    get: (key) => (key === undefined ? state : state[key]),
    /* Change some keys; listeners are called once, before the next picture. */
    set(changes) {
      for (const [key, value] of Object.entries(changes)) {
        if (!(key in state)) throw new Error(`this page has no state ${key}`);
        if (state[key] === value) continue;
        state[key] = value;
        waiting.add(key);
      }
      if (waiting.size && !queued) { queued = true; queueMicrotask(tell); }
    },
    /* Call a function after changes of some keys, and now if asked to; returns how to stop. */
    on(keys, call, now = false) {
      const listener = { keys: [].concat(keys), call };
      listeners.push(listener);
      if (now) call(state, new Set(keys));
      return () => listeners.splice(listeners.indexOf(listener), 1);
    },
  };
}

/* Pin an item; -1 takes the pin away. */
function setPin(store, name, row) { store.set({ pins: { ...store.get("pins"), [name]: row } }); }

/* The state as JSON holds it, by ids, so that it means the same in Python and in a page of other rows. */
function exported(store, data) {
  const state = store.get(), names = (rows) => Array.from(rows, (row) => data.id(row));
  const kept = Object.fromEntries(Object.keys(DEFAULTS).map((key) => [key, state[key]]));
  return {
    format: "lsgen explorer state", version: 1, title: data.title, kind: HEADER.ids.kind, ...kept,
    selection: names(state.selection),
    focus: state.focus < 0 ? null : data.id(state.focus),
    pins: Object.fromEntries(Object.entries(state.pins).map(([pin, row]) => [pin, row < 0 ? null : data.id(row)])),
    groups: state.groups.map(({ rows, ...group }) => ({ ...group, ids: names(rows) })),
  };
}

/* Take a state that was exported; returns a sentence where some of it means nothing here. */
function imported(store, data, given) {
  if (given === null || typeof given !== "object" || given.format !== "lsgen explorer state")
    return "This is no state of an explorer: expected a file that this page has saved.";
  let lost = 0;
  const rows = (ids) => (Array.isArray(ids) ? ids : []).map((id) => data.row(id)).filter((row) => row >= 0 || (lost++, false));
  const one = (id) => (id === null || id === undefined ? -1 : rows([id])[0] ?? -1);
  const changes = {};
  for (const key of Object.keys(DEFAULTS)) {
    if (!(key in given)) continue;
    const value = given[key], usual = DEFAULTS[key];
    if (key === "selection") changes.selection = rows(value).sort((a, b) => a - b);
    else if (key === "focus") changes.focus = one(value);
    else if (key === "pins") changes.pins = { A: one(value?.A), B: one(value?.B), C: one(value?.C) };
    else if (key === "groups") changes.groups = (Array.isArray(value) ? value : []).map(({ ids, ...group }, i) => (
      { ...group, name: String(group.name ?? `group ${i + 1}`), rows: rows(ids).sort((a, b) => a - b) }));
    else if (usual === null || typeof value === typeof usual) changes[key] = value;
  }
  store.set(changes);
  return lost ? `${number(lost)} items of this state are not on this page and were left out.` : "";
}

/* Keep the state in the address of the page, so that a bookmark brings it back. */
function followAddress(store, data) {
  let written = "", timer = 0;
  function read() {
    const text = location.hash.replace(/^#state=/, "");
    if (!location.hash.startsWith("#state=") || text === written) return "";
    try {
      return imported(store, data, { format: "lsgen explorer state", ...JSON.parse(decodeURIComponent(text)) });
    } catch (error) {
      return "The address of this page holds no state that can be read; it was left out.";
    }
  }
  function write() {
    const whole = exported(store, data), short = {};
    for (const [key, usual] of Object.entries(DEFAULTS)) {
      const value = whole[key], plain = key === "focus" ? null : key === "pins" ? { A: null, B: null, C: null } : usual;
      if (JSON.stringify(value) !== JSON.stringify(plain)) short[key] = value;
    }
    const length = () => JSON.stringify(short).length;
    if (length() > LONGEST) { delete short.selection; short.groups = undefined; }
    if (length() > LONGEST) delete short.notes;
    written = Object.keys(short).length ? encodeURIComponent(JSON.stringify(short)) : "";
    try {
      history.replaceState(null, "", written ? `#state=${written}` : location.pathname + location.search);
    } catch (error) {
      data.homeless = true; // inside another page it has no address of its own
    }
  }
  const words = read();
  store.on(Object.keys(DEFAULTS), () => { clearTimeout(timer); timer = setTimeout(write, 250); });
  addEventListener("hashchange", () => { const said = read(); if (said) announce(said); });
  return words;
}

/* Whether the address cannot hold all of the state. */
function tooLong(store, data) {
  const { selection, groups } = exported(store, data);
  return JSON.stringify({ selection, groups }).length > LONGEST;
}
