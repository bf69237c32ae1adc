"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const BINS = DATA.models[0].slices.everybody[0].yes.length;
for (const model of DATA.models) {
  model.answer = modelOf(model.graph);
  for (const groups of Object.values(model.slices))
    for (const group of groups) { group.yesAbove = summed(group.yes); group.noAbove = summed(group.no); }
}
const state = {
  model: 0, slicing: Object.keys(DATA.slices)[1] || "everybody", edges: [], rate: "true_positive_rate",
  ratio: DATA.cost_ratio, strategy: "own", person: 0, values: {},
};
const $ = id => document.getElementById(id);
const named = i => `${DATA.models[i].role} v${DATA.models[i].version}`;
const own = i => Math.round(DATA.models[i].threshold * BINS);
const groupsOf = i => DATA.models[i].slices[state.slicing];
const now = () => at(groupsOf(state.model), state.edges);
const before = () => at(groupsOf(state.model), groupsOf(state.model).map(() => own(state.model)));
const smallMark = group => group.rows < DATA.small
  ? element("span", { class: "small-group", title: `Fewer than ${DATA.small} rows: these numbers move a lot by chance.` }, "small") : null;

// The tightest of the limits of the columns that are crossed here.
function limitOf(criterion) {
  const columns = DATA.slices[state.slicing];
  return columns.length ? Math.min(...columns.map(column => DATA.limits[column][criterion])) : 0.1;
}

// Choosing

function segments(place, options, chosen, choose) {
  $(place).replaceChildren(...options.map(([value, name]) =>
    element("button", { "aria-pressed": String(value === chosen), "data-value": value, onclick: () => choose(value) }, name)));
}

function choices() {
  segments("slicings", Object.keys(DATA.slices).map(name => [name, name]), state.slicing, value => { state.slicing = value; reset(); });
  segments("models", DATA.models.map((_, i) => [i, named(i)]), state.model, value => { state.model = value; reset(); });
  segments("rates", [...Object.entries(RATES).map(([key, { name }]) => [key, name]), ["roc_auc", "ROC AUC"], ["brier", "Brier score"]],
    state.rate, value => { state.rate = value; choices(); forest(); });
}

const STRATEGIES = {
  own: ["The model's own", groups => groups.map(() => own(state.model)), "The threshold that the model is served with."],
  together: ["Cheapest for all", groups => cheapestTogether(groups, state.ratio, BINS), "One threshold, the cheapest at this price of a miss."],
  each: ["Cheapest per group", groups => cheapestEach(groups, state.ratio, BINS), "Each group by its own cheapest threshold, whatever that does to the differences."],
  demographic_parity: ["Demographic parity", groups => alike(groups, state.ratio, BINS, "demographic_parity", 0.01), "A threshold per group, so that every group gets yes equally often."],
  equal_opportunity: ["Equal opportunity", groups => alike(groups, state.ratio, BINS, "equal_opportunity", 0.01), "A threshold per group, so that those who leave are found equally often in every group."],
  equalized_odds: ["Equalized odds", groups => alike(groups, state.ratio, BINS, "equalized_odds", 0.05), "A threshold per group, so that hits and false alarms are both as even as thresholds can make them."],
};

function follow(strategy) {
  state.strategy = strategy;
  state.edges = STRATEGIES[strategy][1](groupsOf(state.model));
  thresholds(); lines();
}

function reset() { choices(); follow(state.strategy in STRATEGIES ? state.strategy : "own"); legend(); }

// The verdict

function verdicts() {
  const cards = DATA.models[0].gaps.map((gap, i) => {
    const rival = DATA.models[1] && DATA.models[1].gaps.find(each => each.criterion === gap.criterion && each.column === gap.column);
    return element("div", { class: "verdict" },
      element("h3", {}, `${gap.criterion.replace("_", " ")} by ${gap.column}`),
      element("div", { class: "top" }, element("span", {}, element("span", { class: "value" }, gap.value.toFixed(3)), element("span", { class: "soft" }, `  of ${gap.limit} allowed`)), stateBadge(gap)),
      gauge([gap, rival].filter(Boolean)),
      element("p", { class: "who" }, `${RATES[gap.rate].name.toLowerCase()}: “${gap.higher}” above “${gap.lower}”`,
        rival ? element("br") : null, rival ? `${named(1)}: ${rival.value.toFixed(3)}, ${rival.state}` : null));
  });
  $("gaps").replaceChildren(...(cards.length ? cards : [element("p", {}, "Nothing: there are no two groups to compare.")]));
}

const WORDS = { holds: "holds", broken: "broken", open: "above, maybe by chance" };
const stateBadge = gap => element("span", { class: `badge ${gap.state}` }, WORDS[gap.state]);

function gauge(gaps) {
  const width = 300, height = 22 * gaps.length + 16, most = Math.max(...gaps.map(g => Math.max(g.high, g.limit * 1.25)), 0.05);
  const x = value => 4 + Math.max(0, value) / most * (width - 8);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": gaps[0].in_words });
  svg.append(shape("rect", { x: 4, y: 2, width: x(gaps[0].limit) - 4, height: height - 18, rx: 5, style: "fill: var(--shade)" }),
    shape("line", { x1: x(gaps[0].limit), x2: x(gaps[0].limit), y1: 0, y2: height - 14, style: "stroke: var(--bad)", "stroke-width": 2 }),
    shape("text", { x: x(gaps[0].limit), y: height - 2, class: "tick", "text-anchor": "middle" }, `limit ${gaps[0].limit}`),
    shape("text", { x: 4, y: height - 2, class: "tick" }, x(gaps[0].limit) > 60 ? "0" : ""));
  gaps.forEach((gap, i) => {
    const y = 13 + 22 * i, tint = `stroke: ${i ? "var(--accent2)" : "var(--accent)"}`;
    svg.append(shape("line", { x1: x(gap.low), x2: x(gap.high), y1: y, y2: y, style: tint, "stroke-width": 3, "stroke-linecap": "round", opacity: 0.55 }),
      shape("circle", { cx: x(gap.value), cy: y, r: 5.5, style: `fill: ${i ? "var(--accent2)" : "var(--accent)"}` }));
  });
  return svg;
}

// Thresholds

function thresholds() {
  const groups = groupsOf(state.model), alikeAll = new Set(state.edges).size === 1;
  $("threshold").value = alikeAll ? state.edges[0] : own(state.model);
  $("threshold-value").textContent = alikeAll ? (state.edges[0] / BINS).toFixed(3) : "per group";
  $("ratio").value = state.ratio;
  $("ratio-value").textContent = state.ratio;
  $("strategies").replaceChildren(...Object.entries(STRATEGIES).map(([key, [name]]) =>
    element("button", { class: key === state.strategy ? "on" : "", "data-strategy": key, onclick: () => follow(key) }, name)));
  $("strategy-said").textContent = state.strategy in STRATEGIES ? STRATEGIES[state.strategy][2] : "Thresholds set by hand.";
  $("groups").className = groups.length < 6 ? "roomy" : "";
  $("groups").replaceChildren(...groups.map(groupRow));
  tiles();
}

function groupRow(group, i) {
  const input = element("input", {
    type: "range", min: 0, max: BINS, value: state.edges[i], "data-group": group.name, "aria-label": `Threshold of ${group.name}`,
    oninput: event => { state.edges[i] = Number(event.target.value); state.strategy = "hand"; refreshRow(row, i); tiles(); lines(); marks(); },
  });
  const row = element("div", { class: "group" },
    element("div", { class: "name" }, element("span", { class: "dot", style: `background: ${colour(i)}` }), group.name,
      element("small", { class: "soft" }, `${count(group.rows)} rows `, smallMark(group)), element("small", { class: "cut-at" })),
    element("div", { class: "plot" }, histogram(group, state.edges[i], colour(i)), input),
    element("div", { class: "rates" }));
  refreshRow(row, i);
  return row;
}

function refreshRow(row, i) {
  const group = groupsOf(state.model)[i], counts = countsAt(group, state.edges[i]);
  row.querySelector("svg").replaceWith(histogram(group, state.edges[i], colour(i)));
  row.querySelector(".cut-at").textContent = `from ${(state.edges[i] / BINS).toFixed(3)} on`;
  row.querySelector(".rates").replaceChildren(...["selection_rate", "true_positive_rate", "false_positive_rate"].map(rate =>
    element("span", { "data-rate": rate }, percent(rateOf(counts, rate)), element("small", { class: "soft" }, RATES[rate].name.toLowerCase()))));
}

// After a group's own slider: what stands beside it, without building the slider anew under the finger.
function marks() {
  $("threshold-value").textContent = new Set(state.edges).size === 1 ? (state.edges[0] / BINS).toFixed(3) : "per group";
  for (const button of $("strategies").children) button.className = "";
  $("strategy-said").textContent = "Thresholds set by hand.";
}

function tiles() {
  const here = now(), was = before(), all = added(here), all0 = added(was);
  const rows = [
    ["accuracy", "accuracy", rateOf(all, "accuracy"), rateOf(all0, "accuracy"), percent, 1],
    ["selected", "said yes to", all.tp + all.fp, all0.tp + all0.fp, count, 0],
    ["found", "of those who leave, found", rateOf(all, "true_positive_rate"), rateOf(all0, "true_positive_rate"), percent, 1],
    ["precision", "of those said yes to, leave", rateOf(all, "precision"), rateOf(all0, "precision"), percent, 1],
    ["cost", "cost, in false alarms", costOf(all, state.ratio), costOf(all0, state.ratio), count, -1],
    ...Object.keys(GAPS).map(key => [`gap-${key}`, `${key.replace("_", " ")} difference`, GAPS[key](here), GAPS[key](was), value => value.toFixed(3), -1]),
  ];
  $("tiles").replaceChildren(...rows.filter(([id]) => here.length > 1 || !id.startsWith("gap")).map(([id, name, value, old, form, good]) => {
    const change = value - old, moved = Math.abs(change) > 1e-9;
    const tone = !moved || !good ? "soft" : change * good > 0 ? "holds" : "broken";
    return element("div", { class: "tile" }, element("b", { id }, form(value),
      moved ? element("span", { class: `moved ${tone}` }, `${change > 0 ? "▲" : "▼"} ${form(Math.abs(change))}`) : null), element("small", { class: "soft" }, name));
  }));
}

// Champion and challenger side by side

function forest() {
  const groups = groupsOf(0), models = DATA.models, wide = 900, line = 44, left = 190, right = 120, bottom = 34;
  const value = (i, g) => {
    const group = DATA.models[i].slices[state.slicing][g];
    if (state.rate === "roc_auc" || state.rate === "brier") return group[state.rate] || [NaN, NaN, NaN];
    const counts = countsAt(group, i === state.model ? state.edges[g] : own(i));
    return [rateOf(counts, state.rate), ...wilson(RATES[state.rate].of(counts), DATA.z)];
  };
  const points = groups.map((_, g) => models.map((_, i) => value(i, g)));
  const known = points.flat().filter(([v]) => !Number.isNaN(v)).flat();
  let low = Math.max(0, Math.min(...known) - 0.02), high = Math.min(1, Math.max(...known) + 0.02);
  if (low < 0.15) low = 0;
  const x = v => left + (v - low) / (high - low || 1) * (wide - left - right), height = groups.length * line + bottom;
  const svg = shape("svg", { viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": `${state.rate} of each group` });
  for (let i = 0; i <= 5; i++) {
    const tick = low + (high - low) * i / 5;
    svg.append(shape("line", { x1: x(tick), x2: x(tick), y1: 0, y2: height - bottom, class: "grid" }),
      shape("text", { x: x(tick), y: height - bottom + 16, class: "tick", "text-anchor": "middle" }, tick.toFixed(2)));
  }
  points.forEach((both, g) => {
    const y = g * line + line / 2, group = groups[g];
    svg.append(shape("text", { x: left - 14, y: y, class: "label", "text-anchor": "end" }, group.name),
      shape("text", { x: left - 14, y: y + 14, class: "tick", "text-anchor": "end" }, `${count(group.rows)}${group.rows < DATA.small ? ", small" : ""}`));
    both.forEach(([v, from, to], i) => {
      if (Number.isNaN(v)) return;
      const here = y + (i - (both.length - 1) / 2) * 15, tint = i ? "var(--accent2)" : "var(--accent)";
      svg.append(shape("line", { x1: x(from), x2: x(to), y1: here, y2: here, style: `stroke: ${tint}`, "stroke-width": 2.5, "stroke-linecap": "round", opacity: 0.5 }),
        shape("circle", { cx: x(v), cy: here, r: 5.5, style: `fill: ${tint}` }, shape("title", {}, `${named(i)}: ${v.toFixed(3)} (${from.toFixed(3)} to ${to.toFixed(3)})`)),
        shape("text", { x: wide - right + 14 + 52 * i, y: y + 4, class: "label", style: `fill: ${tint}` }, v.toFixed(3)));
    });
  });
  models.forEach((_, i) => svg.append(
    shape("circle", { cx: left + 4 + i * 190, cy: height - 5, r: 5, style: `fill: ${i ? "var(--accent2)" : "var(--accent)"}` }),
    shape("text", { x: left + 15 + i * 190, y: height - 1, class: "label" }, named(i))));
  $("forest").replaceChildren(svg);
}

// Inside each group

function lines() { forest(); rocs(); calibrations(); matrices(); }

function rocs() {
  const { svg, x, y } = frame("ROC curves", { xName: "false alarm rate", yName: "hit rate" });
  svg.append(shape("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "diagonal" }));
  groupsOf(state.model).forEach((group, i) => svg.append(shape("path", { d: path(rocOf(group).map(([f, t]) => [x(f), y(t)])), class: "line", style: `stroke: ${colour(i)}` })));
  now().forEach((counts, i) => {
    const f = rateOf(counts, "false_positive_rate"), t = rateOf(counts, "true_positive_rate");
    if (!Number.isNaN(f + t)) svg.append(shape("circle", { cx: x(f), cy: y(t), r: 5, style: `fill: ${colour(i)}; stroke: var(--card); stroke-width: 2` }));
  });
  $("roc").replaceChildren(svg);
}

function calibrations() {
  const { svg, x, y } = frame("Calibration", { xName: "mean score", yName: "share that left" });
  svg.append(shape("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "diagonal" }));
  groupsOf(state.model).forEach((group, i) => {
    const points = calibrationOf(group).filter(each => each.rows >= 5);
    svg.append(shape("path", { d: path(points.map(p => [x(p.predicted), y(p.observed)])), class: "line", style: `stroke: ${colour(i)}` }));
    for (const point of points) svg.append(shape("circle", { cx: x(point.predicted), cy: y(point.observed), r: 2 + Math.min(5, Math.sqrt(point.rows) / 12), style: `fill: ${colour(i)}`, opacity: 0.85 },
      shape("title", {}, `${group.name}: of ${count(point.rows)} scored about ${point.predicted.toFixed(2)}, ${percent(point.observed)} left`)));
  });
  $("calibration").replaceChildren(svg);
}

function matrices() {
  $("matrices").replaceChildren(...groupsOf(state.model).map((group, i) => {
    const c = now()[i], most = Math.max(c.tp, c.fp, c.fn, c.tn);
    const cell = (value, name, good) => element("div", { style: `background: color-mix(in srgb, var(--${good ? "good" : "bad"}) ${8 + 34 * value / (most || 1)}%, var(--card))` }, count(value), element("small", { class: "soft" }, name));
    return element("div", {}, element("h3", {}, element("span", { class: "dot", style: `background: ${colour(i)}` }), group.name, " ", smallMark(group)),
      element("div", { class: "matrix" }, cell(c.tp, "found", true), cell(c.fn, "missed", false), cell(c.fp, "false alarm", false), cell(c.tn, "left alone", true)));
  }));
}

function legend() {
  $("legend").replaceChildren(...groupsOf(state.model).map((group, i) =>
    element("span", {}, element("span", { class: "dot", style: `background: ${colour(i)}` }), `${group.name} (${count(group.rows)}) `, smallMark(group))));
}

// What if

const person = () => DATA.cases[state.person];
const threshold = i => DATA.models[i].threshold;
const shownValue = value => value === null ? "not known" : value === "" ? "(empty)" : typeof value === "number" ? String(Math.round(value * 100) / 100) : value;
const scoreOf = (i, values) => DATA.models[i].answer ? DATA.models[i].answer(values) : NaN;

function choose(i) { state.person = (i + DATA.cases.length) % DATA.cases.length; state.values = { ...person().values }; controls(); whatif(); }

function pick(fits) {
  const all = DATA.cases.map((each, i) => [each, i]).filter(([each]) => fits(each));
  if (all.length) choose(all[Math.floor(Math.random() * all.length)][1]);
}

function controls() {
  const groups = Object.entries(person().groups).map(([column, group]) => `${column} ${group}`).join(", ");
  const made = `Made-up customer ${state.person + 1} of ${DATA.cases.length}: each value is drawn by itself, and nobody is like this.`;
  if (!DATA.show_people) $("who").replaceChildren(made);
  else $("who").replaceChildren(`Customer ${state.person + 1} of ${DATA.cases.length}: ${groups}. `, element("strong", { class: person().label ? "broken" : "holds" }, person().label ? "Left." : "Stayed."));
  $("controls").replaceChildren(...DATA.features.map(feature => {
    const value = state.values[feature.name];
    const label = element("label", {}, element("span", {}, feature.name), element("output", {}, shownValue(value)));
    const changed = next => { state.values[feature.name] = next; label.querySelector("output").textContent = shownValue(next); label.className = next === person().values[feature.name] ? "" : "changed"; whatif(); };
    if (feature.kind === "number") {
      const [low, high] = feature.range;
      label.append(element("input", { type: "range", min: low, max: high, step: feature.whole ? 1 : (high - low) / 200, value: value === null ? low : value, "data-feature": feature.name, oninput: event => changed(Number(event.target.value)) }));
    } else label.append(element("select", { "data-feature": feature.name, onchange: event => changed(event.target.value) },
      ...feature.grid.map(option => element("option", { value: option, selected: option === value }, shownValue(option)))));
    return label;
  }));
}

function whatif() {
  $("scores").replaceChildren(...DATA.models.map((model, i) => {
    const score = scoreOf(i, state.values), first = scoreOf(i, person().values), tint = i ? "var(--accent2)" : "var(--accent)";
    const moved = Math.abs(score - first) > 5e-4 ? `from ${percent(first)}` : "";
    return element("div", { class: "score" }, element("div", { class: "soft" }, named(i)), element("b", { "data-score": i }, percent(score)), " ", element("span", { class: "soft" }, moved),
      element("div", { class: "meter", style: `--tint: ${tint}` }, element("i", { style: `width: ${100 * (score || 0)}%` }), element("em", { style: `left: ${100 * model.threshold}%` })),
      element("div", {}, score >= model.threshold ? "Counts as someone who leaves" : "Counts as someone who stays", (score >= model.threshold) !== (first >= model.threshold) ? element("strong", {}, " – turned") : null));
  }));
  curves(); flips(); nearest();
}

function curveOf(feature, values, i) { return feature.grid.map(at => scoreOf(i, { ...values, [feature.name]: at })); }

function mini(feature, series, mark) {
  const number = feature.kind === "number", grid = feature.grid;
  const ticks = number ? [grid[0], grid[grid.length - 1]].map(v => Math.round(v * 10) / 10) : [];
  const { svg, x, y } = frame(feature.name, { width: 230, height: 140, xName: "", yName: "", yTicks: [0, 0.5, 1], xTicks: ticks, x0: number ? grid[0] : -0.5, x1: number ? grid[grid.length - 1] : grid.length - 0.5 });
  const place = v => x(number ? v : grid.indexOf(v));
  for (const { points, style, dash } of series) {
    if (number) svg.append(shape("path", { d: path(points.map((p, i) => [place(grid[i]), y(p)])), class: "line", style, "stroke-dasharray": dash || "none" }));
    else points.forEach((p, i) => svg.append(shape("line", { x1: x(i - 0.3), x2: x(i + 0.3), y1: y(p), y2: y(p), class: "line", style, "stroke-dasharray": dash || "none" })));
  }
  if (!number) grid.forEach((option, i) => svg.append(shape("text", { x: x(i), y: 118, class: "tick", "text-anchor": "middle" }, shownValue(option))));
  if (mark && mark.at !== null && !Number.isNaN(mark.score)) svg.append(shape("circle", { cx: Math.max(46, Math.min(218, place(mark.at))), cy: y(mark.score), r: 5, style: "fill: var(--accent); stroke: var(--card); stroke-width: 2" }));
  return element("figure", {}, element("figcaption", {}, feature.name), svg);
}

const TINTS = [{ style: "stroke: var(--accent)" }, { style: "stroke: var(--accent2)", dash: "5 4" }];

function curves() {
  const live = DATA.models.map((model, i) => i).filter(i => DATA.models[i].answer);
  $("curves").replaceChildren(...DATA.features.map(feature => mini(feature,
    live.map(i => ({ points: curveOf(feature, state.values, i), ...TINTS[i] })),
    { at: state.values[feature.name], score: scoreOf(0, state.values) })));
}

// Tried are the points of the curve and both ends of the range; then, towards here, where between two of them it turns.
function changesThatTurn() {
  const says = scoreOf(0, state.values) >= threshold(0), found = [];
  for (const feature of DATA.features) {
    const here = state.values[feature.name], number = feature.kind === "number" && here !== null;
    const turns = v => (scoreOf(0, { ...state.values, [feature.name]: v }) >= threshold(0)) !== says;
    const far = v => number ? Math.abs(v - here) / (feature.deviation || 1) : 1;
    const tried = [...feature.grid, ...(feature.range || [])].filter(v => v !== here), options = tried.filter(turns);
    if (!options.length) continue;
    const nearest = lowest(options, far);
    const to = number ? turningPoint(feature, turns, nearest, tried.filter(v => (v - here) * (nearest - here) > 0 && far(v) < far(nearest)).concat(here)) : nearest;
    found.push({ name: feature.name, here, to, far: far(to), score: scoreOf(0, { ...state.values, [feature.name]: to }) });
  }
  return found.sort((a, b) => a.far - b.far);
}

function flips() {
  const found = changesThatTurn();
  $("flips").replaceChildren(found.length ? table(["", "from", "to", "score"], found.slice(0, 5).map(f => [f.name, shownValue(f.here), shownValue(f.to), percent(f.score)]))
    : element("p", { class: "soft" }, DATA.models[0].answer ? "None of the values tried turns it." : "Not known: the page cannot ask the model."));
}

// From the last value that keeps the decision to the first that turns it, halved until they are as near as the control's steps.
function turningPoint(feature, turns, turned, kept) {
  let keeps = lowest(kept, v => Math.abs(v - turned));
  const step = feature.whole ? 1 : (feature.range[1] - feature.range[0]) / 1e4;
  while (Math.abs(turned - keeps) > step) {
    const half = (turned + keeps) / 2, middle = feature.whole ? Math.round(half) : half;
    if (middle === turned || middle === keeps) break;
    if (turns(middle)) turned = middle; else keeps = middle;
  }
  return turned;
}

function nearest() {
  const other = person().nearest;
  const why = DATA.show_people ? "There is none: everybody is decided alike." : "Left out: it would be a real customer (uc5.show_people).";
  if (!other) { $("nearest").replaceChildren(element("p", { class: "soft" }, why)); return; }
  const made = table(["", "this one", "the nearest"], [...DATA.features.map(({ name }) => [name, shownValue(person().values[name]), shownValue(other.values[name])]),
    ...Object.keys(other.groups).map(column => [`group: ${column}`, person().groups[column], other.groups[column]]),
    ["score", percent(person().scores[0]), percent(other.scores[0])], ["in truth", person().label ? "left" : "stayed", other.label ? "left" : "stayed"]]);
  for (const row of made.tBodies[0].rows) if (row.cells[1].textContent !== row.cells[2].textContent) row.cells[2].className = "n other";
  $("nearest").replaceChildren(made);
}

function table(names, rows) {
  const cell = (tag, text, i) => element(tag, { class: i ? "n" : "" }, text);
  return element("table", {}, element("thead", {}, element("tr", {}, names.map((n, i) => cell("th", n, i)))),
    element("tbody", {}, rows.map(row => element("tr", {}, row.map((text, i) => cell("td", text, i))))));
}

function dependence() {
  $("dependence").replaceChildren(...DATA.features.map(feature => mini(feature,
    DATA.models.map((model, i) => ({ points: model.dependence[feature.name], ...TINTS[i] })).filter(({ points }) => points), null)));
}

// The page's own models against the answers that ONNX gave for the same people.
function checked() {
  const said = DATA.models.map((model, i) => {
    if (!model.answer) return `${named(i)} cannot be evaluated here: ${model.graph.why_not}.`;
    const apart = Math.max(...DATA.cases.map(each => Math.abs(model.answer(each.values) - each.scores[i])));
    document.body.dataset[`apart${i}`] = apart;
    return apart < 1e-5 ? `${named(i)} agrees with the served file on all ${DATA.cases.length} customers below, to ${apart.toExponential(0)}.`
      : `${named(i)} differs from the served file by up to ${apart.toExponential(1)}: do not rely on it here.`;
  });
  $("evaluates").textContent = `Answers come from the models themselves, exported into this page, at their own thresholds. ${said.join(" ")}`;
}

$("threshold").addEventListener("input", event => { state.strategy = "hand"; state.edges = state.edges.map(() => Number(event.target.value)); thresholds(); lines(); });
$("ratio").addEventListener("input", event => { state.ratio = Number(event.target.value); if (state.strategy in STRATEGIES) follow(state.strategy); else { thresholds(); lines(); } });
$("previous").addEventListener("click", () => choose(state.person - 1));
$("next").addEventListener("click", () => choose(state.person + 1));
$("anybody").addEventListener("click", () => pick(() => true));
if (DATA.show_people) $("wrong").addEventListener("click", () => pick(each => (each.scores[0] >= threshold(0)) !== Boolean(each.label)));
$("edge").addEventListener("click", () => pick(each => Math.abs(each.scores[0] - threshold(0)) < 0.03));
$("undo").addEventListener("click", () => choose(state.person));
$("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

verdicts(); reset(); checked(); choose(0); dependence();
document.body.dataset.ready = "yes";
