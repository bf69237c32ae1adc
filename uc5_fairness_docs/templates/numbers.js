"use strict";
// Everything follows from how many of each label are in each bin of scores. A threshold is an edge between two bins.
const RATES = {
  selection_rate: { name: "Share of yes", of: c => [c.tp + c.fp, c.tp + c.fp + c.fn + c.tn] },
  true_positive_rate: { name: "Hit rate", of: c => [c.tp, c.tp + c.fn] },
  false_positive_rate: { name: "False alarm rate", of: c => [c.fp, c.fp + c.tn] },
  precision: { name: "Precision", of: c => [c.tp, c.tp + c.fp] },
  accuracy: { name: "Accuracy", of: c => [c.tp + c.tn, c.tp + c.fp + c.fn + c.tn] },
  base_rate: { name: "Share that left", of: c => [c.tp + c.fn, c.tp + c.fp + c.fn + c.tn] },
};

function summed(counts) {
  const above = new Array(counts.length + 1).fill(0);
  for (let i = counts.length - 1; i >= 0; i--) above[i] = above[i + 1] + counts[i];
  return above;
}

function countsAt(group, edge) {
  const yes = group.yesAbove, no = group.noAbove;
  return { tp: yes[edge], fn: yes[0] - yes[edge], fp: no[edge], tn: no[0] - no[edge] };
}

const rateOf = (counts, name) => { const [count, of] = RATES[name].of(counts); return of ? count / of : NaN; };

// Wilson's interval; everything is possible where nobody counts.
function wilson([count, of], z) {
  if (!of) return [0, 1];
  const share = count / of, squared = z * z / of, middle = share + squared / 2;
  const spread = z * Math.sqrt(share * (1 - share) / of + squared / (4 * of));
  return [Math.max(0, (middle - spread) / (1 + squared)), Math.min(1, (middle + spread) / (1 + squared))];
}

const added = all => all.reduce((a, b) => ({ tp: a.tp + b.tp, fp: a.fp + b.fp, fn: a.fn + b.fn, tn: a.tn + b.tn }), { tp: 0, fp: 0, fn: 0, tn: 0 });
const costOf = (counts, ratio) => counts.fp + ratio * counts.fn;

function gapIn(all, rate) {
  const known = all.map(each => rateOf(each, rate)).filter(value => !Number.isNaN(value));
  return known.length > 1 ? Math.max(...known) - Math.min(...known) : 0;
}

const GAPS = {
  demographic_parity: all => gapIn(all, "selection_rate"),
  equal_opportunity: all => gapIn(all, "true_positive_rate"),
  equalized_odds: all => Math.max(gapIn(all, "true_positive_rate"), gapIn(all, "false_positive_rate")),
};

const lowest = (list, value) => list.reduce((best, each) => value(each) < value(best) ? each : best);
const every = bins => Array.from({ length: bins + 1 }, (_, edge) => edge);
const at = (groups, edges) => groups.map((group, i) => countsAt(group, edges[i]));

function cheapestTogether(groups, ratio, bins) {
  const edge = lowest(every(bins), e => costOf(added(groups.map(g => countsAt(g, e))), ratio));
  return groups.map(() => edge);
}

const cheapestEach = (groups, ratio, bins) => groups.map(g => lowest(every(bins), e => costOf(countsAt(g, e), ratio)));

// Thresholds that treat groups alike: every target is tried, each group takes the threshold nearest to it, and of those
// whose difference is within the tolerance the cheapest is taken; where none is, the one with the smallest difference.
function alike(groups, ratio, bins, criterion, tolerance) {
  const points = groups.map(group => every(bins).map(edge => {
    const counts = countsAt(group, edge);
    return { edge, cost: costOf(counts, ratio), rates: ["selection_rate", "true_positive_rate", "false_positive_rate"].map(r => rateOf(counts, r) || 0) };
  }));
  const apart = {
    demographic_parity: ([t]) => p => Math.abs(p.rates[0] - t),
    equal_opportunity: ([t]) => p => Math.abs(p.rates[1] - t),
    equalized_odds: ([t, f]) => p => Math.max(Math.abs(p.rates[1] - t), Math.abs(p.rates[2] - f)),
  }[criterion];
  const tried = targets(criterion).map(target => {
    // A little of the cost decides between thresholds that are equally near.
    const picked = points.map(group => lowest(group, p => apart(target)(p) + p.cost * 1e-9));
    const edges = picked.map(p => p.edge);
    return { edges, gap: GAPS[criterion](at(groups, edges)), cost: picked.reduce((sum, p) => sum + p.cost, 0) };
  });
  const within = tried.filter(each => each.gap <= tolerance);
  return (within.length ? lowest(within, each => each.cost) : lowest(tried, each => each.gap)).edges;
}

function targets(criterion) {
  const line = n => Array.from({ length: n + 1 }, (_, i) => i / n);
  if (criterion !== "equalized_odds") return line(200).map(t => [t]);
  return line(40).flatMap(t => line(40).filter(f => f <= t).map(f => [t, f]));
}

const rocOf = group => every(group.yes.length).map(edge => {
  const counts = countsAt(group, edge);
  return [rateOf(counts, "false_positive_rate"), rateOf(counts, "true_positive_rate")];
}).filter(([x, y]) => !Number.isNaN(x) && !Number.isNaN(y));

// Ten bins of equal width: mean score, share that came true, rows.
function calibrationOf(group) {
  const wide = group.yes.length / 10, found = [];
  for (let bin = 0; bin < 10; bin++) {
    let rows = 0, yes = 0, scores = 0;
    for (let i = bin * wide; i < (bin + 1) * wide; i++) {
      const here = group.yes[i] + group.no[i];
      rows += here; yes += group.yes[i]; scores += here * (i + 0.5) / group.yes.length;
    }
    if (rows) found.push({ predicted: scores / rows, observed: yes / rows, rows, yes });
  }
  return found;
}
