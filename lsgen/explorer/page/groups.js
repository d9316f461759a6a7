/* A field that chooses a group of items: the selection, a value of a column, a search, a saved group, or all others. */
function groupField(name, store, data, onchange, others = null) {
  const columns = data.columns.filter((column) => column.levels && column.levels.length > 0);
  const amounts = data.columns.filter((column) => !column.levels), shares = { 0.75: "highest quarter", 0.5: "above the median", "-0.5": "up to the median", "-0.25": "lowest quarter" };
  const sources = [{ value: "", label: "choose …" }, { value: "selection", label: "the selection on the map" },
    ...(columns.length ? [{ value: "column", label: "a value of a column" }] : []),
    ...(amounts.length ? [{ value: "range", label: "high or low values of a column" }] : []),
    { value: "search", label: "a search in ids and columns" }, { value: "saved", label: "a saved group" },
    ...(others ? [{ value: "others", label: "all items not in the other group" }] : [])];
  const detail = h("span", { class: "row" }), count = h("output", { class: "count" }, "no items");
  const state = { source: others ? "others" : "", column: columns[0]?.name ?? "", level: 0, search: "", saved: 0, rows: [],
    amount: amounts[0]?.name ?? "", share: others ? "-0.25" : "0.75" };

  function rowsOf() {
    if (state.source === "selection") return Array.from(store.get("selection"));
    if (state.source === "column") {
      const found = [], column = data.column(state.column);
      if (column) for (let row = 0; row < data.count; row++) if (column.values[row] === state.level) found.push(row);
      return found;
    }
    if (state.source === "range") return ranged(data.column(state.amount).values, Number(state.share));
    if (state.source === "search") return searched(data, state.search);
    if (state.source === "saved") return Array.from(store.get("groups")[state.saved]?.rows ?? []);
    if (state.source === "others") {
      const taken = new Set(others());
      return taken.size ? Array.from({ length: data.count }, (_, row) => row).filter((row) => !taken.has(row)) : [];
    }
    return [];
  }

  function refresh() {
    state.rows = rowsOf();
    count.textContent = `${number(state.rows.length)} ${state.rows.length === 1 ? "item" : "items"}`;
    return state.rows;
  }

  function changed() { refresh(); onchange(); }

  function showDetail() {
    detail.replaceChildren();
    if (state.source === "column") {
      const column = data.column(state.column), most = 300;
      const levels = column.levels.slice(0, most).map((label, i) => ({ value: String(i), label }));
      detail.append(choice(`column of group ${name}`, columns.map((c) => ({ value: c.name, label: c.label, group: c.group })), state.column, (value) => {
        Object.assign(state, { column: value, level: 0 });
        showDetail(); changed();
      }), choice(`value of group ${name}`, levels, String(state.level), (value) => { state.level = Number(value); changed(); }));
      if (column.levels.length > most) detail.append(h("small", {}, `the first ${most} of ${number(column.levels.length)} values`));
    } else if (state.source === "range") {
      detail.append(choice(`column of group ${name}`, amounts.map((c) => ({ value: c.name, label: c.label, group: c.group })), state.amount, (value) => { state.amount = value; changed(); }),
        choice(`values of group ${name}`, Object.entries(shares).map(([value, label]) => ({ value, label })), state.share, (value) => { state.share = value; changed(); }));
    } else if (state.source === "search") {
      detail.append(h("input", { type: "search", "aria-label": `search for group ${name}`, placeholder: "text in an id or a column", value: state.search,
        oninput: later((event) => { state.search = event.target.value; changed(); }, 250) }));
    } else if (state.source === "saved") {
      const groups = store.get("groups");
      detail.append(groups.length ? choice(`saved group for ${name}`, groups.map((group, i) => ({ value: String(i), label: group.name })), String(state.saved), (value) => {
        state.saved = Number(value); changed();
      }) : h("small", {}, "No group is saved yet."));
    } else if (state.source === "selection" && !store.get("selection").length) {
      detail.append(h("small", {}, "Nothing is selected: draw around items on the map."));
    }
  }

  const select = choice(`what is group ${name}`, sources, state.source, (value) => { state.source = value; showDetail(); changed(); });
  const field = h("fieldset", { class: `group group-${name}` }, h("legend", {}, `Group ${name}`), select, detail, count);
  store.on(["selection"], () => { if (state.source === "selection") { showDetail(); changed(); } });
  store.on(["groups"], () => { if (state.source === "saved") { showDetail(); changed(); } });
  return {
    field, refresh,
    rows: () => state.rows,
    label: () => ({ selection: "selection", column: `${data.column(state.column)?.label} = ${data.column(state.column)?.levels[state.level]}`,
      range: `${data.column(state.amount)?.label}, ${shares[state.share]}`, search: `“${state.search}”`, saved: store.get("groups")[state.saved]?.name ?? "", others: "the others" })[state.source] ?? "",
    choose(given) { Object.assign(state, given); select.value = state.source; showDetail(); changed(); },
  };
}

/* Rows with a text in their id or in a column, in any case of letters. */
function searched(data, text) {
  const wanted = text.trim();
  return wanted ? rowsIn(rowsThatMatch(data, holding(wanted))) : [];
}

/* Rows whose value is above a quantile (share > 0) or at most at one (share < 0); missing values are in neither. */
function ranged(values, share) {
  const sorted = sortedSample(values, Infinity);
  if (!sorted.length) return [];
  const limit = sorted[Math.floor(Math.abs(share) * (sorted.length - 1))], found = [];
  for (let row = 0; row < values.length; row++) if (share > 0 ? values[row] > limit : values[row] <= limit) found.push(row);
  return found;
}
