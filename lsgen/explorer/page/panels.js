/* Panels: each script adds its own by panel(name, { title, about, when, mount }). They are tabs beside the map.

   title   what the tab says, one or two words
   about   one sentence for somebody who sees it for the first time
   when    data => true, or a sentence that says why there is nothing to show; that sentence is then the panel
   mount   (element, store, data) => nothing; called once, when the panel is first opened */
const PANELS = [];
function panel(name, about) { PANELS.push({ name, when: () => true, ...about }); }

/* Things drawn over the map: overlay((context, place, store, data, view) => ...) where place(row) is [x, y] in pixels of
   the map. */
const OVERLAYS = [];
function overlay(draw) { OVERLAYS.push(draw); }

function mountPanels(element, store, data) {
  const tabs = h("div", { role: "tablist", class: "tabs", "aria-label": "Panels" }), body = h("div", { class: "body" });
  const made = new Map();

  function open(name, focus = false) {
    const about = PANELS.find((entry) => entry.name === name) || PANELS[0];
    if (!made.has(about.name)) {
      const content = h("div", { class: "content" }), possible = about.when(data);
      const room = h("section", { class: `panel panel-${about.name}`, role: "tabpanel", id: `panel-${about.name}`, "aria-labelledby": `tab-${about.name}`, tabindex: "0" },
        h("p", { class: "about" }, about.about), possible === true ? content : h("p", { class: "cannot" }, possible));
      made.set(about.name, room);
      body.append(room);
      if (possible === true) about.mount(content, store, data);
    }
    for (const [key, room] of made) room.hidden = key !== about.name;
    for (const tab of tabs.children) {
      const on = tab.dataset.name === about.name;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      if (on && focus) tab.focus();
      if (on) tabs.scrollLeft = Math.max(0, tab.offsetLeft - tabs.clientWidth / 2 + tab.offsetWidth / 2);
    }
  }

  PANELS.forEach((about) => tabs.append(h("button", {
    type: "button", role: "tab", id: `tab-${about.name}`, "data-name": about.name, "aria-controls": `panel-${about.name}`,
    class: about.when(data) === true ? null : "empty", onclick: () => store.set({ tab: about.name }),
  }, about.title)));
  tabs.addEventListener("keydown", (event) => {
    const at = PANELS.findIndex((about) => about.name === (store.get("tab") || PANELS[0].name));
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: PANELS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = PANELS[(to + PANELS.length) % PANELS.length].name;
    store.set({ tab: name });
    open(name, true);
  });
  element.append(tabs, body);
  store.on(["tab"], (state) => open(state.tab || PANELS[0].name), true);
}

/* Work before the panels are mounted: prepare((store, data) => ...) may add to data, such as data.neighbours(row, k). */
const PREPARATIONS = [];
function prepare(call) { PREPARATIONS.push(call); }
