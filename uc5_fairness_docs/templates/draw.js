"use strict";
const SVG = "http://www.w3.org/2000/svg";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(each => each !== null && each !== undefined));
  return made;
}

function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.flat());
  return made;
}

const percent = (value, digits = 1) => Number.isNaN(value) ? "–" : `${(100 * value).toFixed(digits)} %`;
const count = value => Math.round(value).toLocaleString("en");
const colour = i => `var(--c${i % 12})`;
const path = points => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");

// A frame with axes from 0 to 1; returns the svg and functions from values to places.
function frame(label, { width = 360, height = 300, xName, yName, xTicks = [0, 0.25, 0.5, 0.75, 1], yTicks = xTicks, x0 = 0, x1 = 1, y0 = 0, y1 = 1, form = v => v } = {}) {
  const left = 46, right = 12, top = 10, bottom = 40;
  const x = v => left + (v - x0) / (x1 - x0 || 1) * (width - left - right);
  const y = v => height - bottom - (v - y0) / (y1 - y0 || 1) * (height - top - bottom);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of yTicks) svg.append(
    shape("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "grid" }),
    shape("text", { x: left - 7, y: y(tick) + 4, class: "tick", "text-anchor": "end" }, form(tick)));
  for (const tick of xTicks) svg.append(
    shape("text", { x: x(tick), y: height - bottom + 17, class: "tick", "text-anchor": "middle" }, String(tick)));
  svg.append(
    shape("text", { x: (left + width - right) / 2, y: height - 5, class: "axis", "text-anchor": "middle" }, xName),
    shape("text", { x: -(height - bottom + top) / 2, y: 12, class: "axis", "text-anchor": "middle", transform: "rotate(-90)" }, yName));
  return { svg, x, y };
}

// Scores of one group: who stayed below, who left on top of them, and where the threshold cuts.
function histogram(group, edge, tint) {
  const wide = 5, bins = group.yes.length / wide, width = 400, height = 64;
  const bars = Array.from({ length: bins }, (_, i) => {
    let yes = 0, no = 0;
    for (let j = i * wide; j < (i + 1) * wide; j++) { yes += group.yes[j]; no += group.no[j]; }
    return [yes, no];
  });
  const most = Math.max(1, ...bars.map(([yes, no]) => yes + no)), high = v => v / most * height;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "histogram", "aria-hidden": "true" });
  bars.forEach(([yes, no], i) => {
    const x = i * width / bins, w = width / bins - 1.2, chosen = i * wide + wide / 2 >= edge;
    svg.append(
      shape("rect", { x, y: height - high(no), width: w, height: high(no), class: "stayed", opacity: chosen ? 1 : 0.45 }),
      shape("rect", { x, y: height - high(no + yes), width: w, height: high(yes), fill: tint, opacity: chosen ? 1 : 0.45 }));
  });
  const cut = edge / group.yes.length * width;
  svg.append(shape("line", { x1: cut, x2: cut, y1: 0, y2: height, class: "cut" }));
  return svg;
}
