"use strict";
// The exported model: each operator as ONNX defines it, on one row. Numbers are float32, as when the model is served.
const logistic = x => 1 / (1 + Math.exp(-x));

const OPERATORS = {
  Concat: (_, inputs) => inputs.flat(),
  Reshape: (_, [input]) => input,
  Identity: (_, [input]) => input,
  Imputer: (step, [input]) => input.map((x, i) => Number.isNaN(x) ? step.values[i % step.values.length] : x),
  Scaler: (step, [input]) => input.map((x, i) => Math.fround((x - step.offset[i]) * step.scale[i])),
  OneHotEncoder: (step, [input]) => step.categories.map(each => each === input[0] ? 1 : 0),
  LinearClassifier: (step, [input]) => [logistic(input.reduce((sum, x, i) => sum + x * step.coefficients[i], step.intercept))],
  TreeEnsembleClassifier: (step, [input]) => {
    let sum = step.base;
    for (const root of step.roots) {
      let node = root;
      while (step.feature[node] >= 0) {
        const x = input[step.feature[node]];
        const goes = Number.isNaN(x) ? step.missing[node] === 1 : x <= step.value[node];
        node = goes ? step.yes[node] : step.no[node];
      }
      sum += step.value[node];
    }
    return [logistic(sum)];
  },
};

// A function from a customer's values to the probability of yes; null where the model could not be exported.
function modelOf(graph) {
  if (graph.why_not) return null;
  // Nine digits name a float32, but are not it: a value at a split must equal the split.
  for (const step of graph.steps)
    for (const name of ["value", "values", "offset", "scale", "coefficients"]) if (step[name]) step[name] = step[name].map(Math.fround);
  return values => {
    const known = new Map();
    for (const [name, value] of Object.entries(values))
      known.set(name, [typeof value === "string" ? value : value === null ? NaN : Math.fround(value)]);
    let last = [NaN];
    for (const step of graph.steps) {
      last = OPERATORS[step.op](step, step.in.map(name => known.get(name)));
      known.set(step.out, last);
    }
    return last[0];
  };
}
