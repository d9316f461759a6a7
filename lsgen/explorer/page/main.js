/* Begins: reads the page, mounts the map and the panels, and says when it is ready. */
window.__lsgen = { ready: false, error: null };

function mountHeader(element, data, refused) {
  element.append(h("div", { class: "titles" }, h("h1", {}, words(data.title, 120)),
    h("p", { class: "sub" }, `${number(data.count)} ${data.count === 1 ? "code" : "codes"}${data.codes ? ` of ${number(data.codes.full)} dimensions` : ""}`)));
  if (data.facts.length) element.append(h("dl", { class: "facts" }, data.facts.map(([name, value]) =>
    h("div", {}, h("dt", {}, words(name, 24)), h("dd", {}, words(value, 48))))));
  const cannot = [...data.warnings, ...refused];
  if (cannot.length) element.append(h("details", { class: "warnings" },
    h("summary", {}, `${cannot.length} ${cannot.length === 1 ? "note" : "notes"}`), h("ul", {}, cannot.map((text) => h("li", {}, words(text, 400))))));
}

/* What this page cannot do, in words. */
function limitsOf(data) {
  const said = [];
  if (!data.codes) said.push("The codes themselves are not in this page, for there are too many: neighbours, axes and directions are not available.");
  else if (data.codes.about !== "in single precision") said.push(`The codes of this page are ${data.codes.about}; distances shown are between these.`);
  if (!data.decoder) said.push("No decoder is in this page: new codes are shown by the items that lie next to them.");
  if (!data.pictures) said.push("There are no pictures of the items.");
  else if (data.pictures.count < data.count) said.push(`Pictures of ${number(data.pictures.count)} of ${number(data.count)} items are in this page.`);
  return said;
}

async function begin() {
  performance.mark("read");
  const data = await readData(), store = createStore();
  performance.mark("mount");
  Object.assign(window.__lsgen, { data, store, decoder: () => decoderOf(data) });
  mountHeader(document.getElementById("top"), data, limitsOf(data));
  const first = data.column(data.colour.column) || data.columns.find((column) => column.name === "label") || data.columns.find((column) => column.levels) || data.columns[0];
  store.set({ map: data.maps.length ? data.maps[0].name : "axes", colour: first ? `column:${first.name}` : "map:density" });
  const said = followAddress(store, data);
  for (const call of PREPARATIONS) call(store, data);
  const stage = document.getElementById("stage"), bar = h("div", { class: "toolbar" }), under = h("div", { class: "under" });
  stage.append(bar);
  const view = new CodeMapView(stage, store, data);
  stage.append(under);
  window.__lsgen.view = view;
  mountToolbar(bar, store, data, view);
  mountLegend(under, store, data, view);
  mountTrust(under, store, data, view);
  mountPanels(document.getElementById("panels"), store, data);
  performance.mark("draw");
  await view.refresh(true);
  if (said) announce(said);
  await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  performance.mark("ready");
  window.__lsgen.ready = true;
}

begin().catch((error) => {
  window.__lsgen.error = String(error);
  document.getElementById("stage").replaceChildren(h("p", { class: "refusal" },
    `This page could not be opened: ${shortened(error.message || error, 300)}`));
  throw error;
});
