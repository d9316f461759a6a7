/* Which items are shown: those that pass every filter and the search. A filter is { levels: [text] } or { range: [low, high] };
   levels may hold null, for rows without a value. */

/* A test of whether text holds another, in any case of letters. */
function holding(text) {
  const low = text.toLowerCase();
  return (value) => value.toLowerCase().includes(low);
}

/* How to test text: part of it, or between slashes a regular expression; a sentence where that is none. */
function matcher(text) {
  const wanted = text.trim();
  if (!wanted) return null;
  const pattern = wanted.match(/^\/(.+)\/([imsu]*)$/s);
  if (!pattern) return holding(wanted);
  try {
    const expression = new RegExp(pattern[1], pattern[2].includes("i") ? pattern[2] : `${pattern[2]}i`);
    return (value) => expression.test(value);
  } catch (error) {
    return `This is no regular expression: ${shortened(error.message, 120)}.`;
  }
}

/* Rows whose id or a value of a text column matches. */
function rowsThatMatch(data, test) {
  const found = new Uint8Array(data.count);
  for (let row = 0; row < data.count; row++) if (test(String(data.id(row)))) found[row] = 1;
  for (const column of data.columns) {
    if (!column.levels) continue;
    const hits = column.levels.map(test);
    if (hits.some(Boolean)) column.values.forEach((value, row) => { if (value >= 0 && hits[value]) found[row] = 1; });
  }
  return found;
}

function passing(column, filter) {
  if (filter.levels && column.levels) {
    const wanted = new Set(filter.levels), on = column.levels.map((level) => wanted.has(level)), gaps = wanted.has(null);
    return (row) => (column.values[row] < 0 ? gaps : on[column.values[row]]);
  }
  if (filter.range && !column.levels) {
    const [low, high] = filter.range;
    return (row) => column.values[row] >= low && column.values[row] <= high;
  }
  return null;
}

/* The mask of what is shown without the filter of one column, or null where all is shown. */
function maskOf(store, data, without = null) {
  const { filters, search } = store.get(), test = matcher(search), tests = [];
  for (const [name, filter] of Object.entries(filters)) {
    const column = data.column(name), pass = column && filter && name !== without ? passing(column, filter) : null;
    if (pass) tests.push(pass);
  }
  const hits = typeof test === "function" ? rowsThatMatch(data, test) : null;
  if (!tests.length && !hits) return null;
  const mask = hits || new Uint8Array(data.count).fill(1);
  for (const pass of tests) for (let row = 0; row < data.count; row++) if (mask[row] && !pass(row)) mask[row] = 0;
  return mask;
}

const rowsIn = (mask) => Array.from(mask.keys()).filter((row) => mask[row]);
const sumOf = (mask) => { let sum = 0; for (const value of mask) sum += value; return sum; };

/* Change the filter of a column; null takes it away. */
function setFilter(store, name, filter) {
  const filters = { ...store.get("filters") };
  if (filter === null) delete filters[name]; else filters[name] = filter;
  store.set({ filters });
}

/* Show a class beside those that are shown, or no longer; the first one chosen is shown alone. */
function toggleLevel(store, name, level) {
  const levels = new Set(store.get("filters")[name]?.levels || []);
  if (!levels.delete(level)) levels.add(level);
  setFilter(store, name, levels.size ? { levels: [...levels] } : null);
}

prepare((store, data) => {
  store.on(["filters", "search"], () => {
    const mask = maskOf(store, data);
    store.set({ visible: mask });
    if (mask && !mask.includes(1)) announce("No item passes the filters.");
  });
  store.set({ visible: maskOf(store, data) });
});
