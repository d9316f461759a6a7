/* Elements, text and numbers. Text of the data is only ever set as textContent or an attribute, never as HTML. */
const SVG = "http://www.w3.org/2000/svg";

/* h("p", { class: "about", onclick: f }, "text", child): an element with attributes, listeners and children. */
function h(name, attributes = {}, ...children) { return furnish(document.createElement(name), attributes, children); }
function svg(name, attributes = {}, ...children) { return furnish(document.createElementNS(SVG, name), attributes, children); }

function furnish(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked" || key === "selected") element[key] = value;
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false).map(
    (child) => (child instanceof Node ? child : String(child))));
  return element;
}

/* A number as people read it. */
function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return value.toLocaleString("en").replace("-", "−");
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(digits - 1).replace("-", "−");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

/* A statistic in words: its value, its interval, what it was estimated from. */
function statistic(figure) {
  const interval = figure.interval ? ` [${number(figure.interval[0])}, ${number(figure.interval[1])}]` : "";
  const chance = figure.baseline === null || figure.baseline === undefined ? "" : `, by chance ${number(figure.baseline)}`;
  return `${number(figure.value)}${interval} (n = ${number(figure.n)}${chance})`;
}

/* Text of at most some characters; the whole of it is the title of an element that shows it. */
function shortened(text, most = 60) {
  const whole = String(text), letters = Array.from(whole.slice(0, 2 * most + 2));
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : whole;
}
function words(text, most = 60, tag = "span") {
  const whole = String(text), shown = shortened(whole, most);
  return h(tag, { dir: "auto", class: "text", title: shown === whole ? null : shortened(whole, 600) }, shown);
}

/* Say something to readers of the screen, and in a line that goes away. */
function announce(text) {
  const line = document.getElementById("announce");
  line.textContent = text;
  line.classList.add("said");
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => line.classList.remove("said"), 5000);
}

function button(text, onclick, attributes = {}) { return h("button", { type: "button", onclick, ...attributes }, text); }

/* A list to choose from: options [{ value, label, group }]. */
function choice(label, options, value, onchange, attributes = {}) {
  const select = h("select", { "aria-label": label, onchange: () => onchange(select.value), ...attributes });
  const groups = new Map();
  for (const option of options) {
    const made = h("option", { value: option.value, selected: option.value === value }, shortened(option.label, 48));
    if (!option.group) { select.append(made); continue; }
    if (!groups.has(option.group)) {
      groups.set(option.group, h("optgroup", { label: shortened(option.group, 40) }));
      select.append(groups.get(option.group));
    }
    groups.get(option.group).append(made);
  }
  select.value = value;
  return select;
}

/* A slider with its name and its value. */
function slider(label, { min, max, step, value, format = number, oninput }) {
  const shown = h("output", {}, format(value));
  const field = h("input", { type: "range", min, max, step, value, "aria-label": label, oninput: () => {
    shown.textContent = format(Number(field.value));
    oninput(Number(field.value));
  } });
  return h("label", { class: "slider" }, h("span", {}, label), field, shown);
}

/* The picture of an item, or its name where it has none. */
function face(data, row, size, which = "pictures") {
  const from = data[which];
  if (from && from.has(row)) return from.canvas(row, size, `${which === "pictures" ? "picture" : "reconstruction"} of item ${data.id(row)}`);
  return h("span", { class: "noface", style: `width:${size}px;height:${size}px`, "aria-hidden": "true" }, "·");
}

/* Let a reader keep a file. */
function download(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function fileName(data, ending) {
  const plain = data.title.normalize("NFKD").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 60);
  return `${plain || "explorer"}-${ending}`;
}

const later = (call, wait = 120) => { let timer = 0; return (...given) => { clearTimeout(timer); timer = setTimeout(() => call(...given), wait); }; };
/* Call a function before the next picture, once however often it was asked for, with what came first. */
const onceAPicture = (call) => {
  let asked = false;
  return (...given) => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; call(...given); });
  };
};
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
