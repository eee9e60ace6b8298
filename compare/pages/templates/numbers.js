"use strict";
// Numbers as people read them. What isn't finite comes as "inf", "-inf" or "nan": JSON has none.

/** Write a number with so many significant digits, as C's %g does. */
function general(x, digits) {
  if (typeof x !== "number") return String(x ?? "–");
  if (x === 0) return Object.is(x, -0) ? "-0" : "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent >= -4 && exponent < digits) return trimmed(x.toFixed(digits - 1 - exponent));
  const sign = exponent < 0 ? "-" : "+";
  return `${trimmed(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** Write a number as everywhere else in this project. */
function tenDigits(x) {
  return general(x, 10);
}

/** Write a number in so few characters that it fits into a circle. */
function brief(x, digits = 3) {
  if (typeof x !== "number") return String(x ?? "");
  const size = Math.abs(x);
  const text = size === 0 || (size >= 0.001 && size < 9999.5) ? general(x, digits) : x.toExponential(0);
  return text.replace("e+", "e").replaceAll("-", "−");
}

/** Write a distance in units of rounding noise, as a report does. */
function told(distance) {
  if (typeof distance !== "number") return distance === null ? "–" : String(distance);
  return distance < 1000 ? general(distance, 2) : distance.toExponential(1).replace(/\+(\d)$/, "+0$1");
}

/** Give a JSON number as one to compute with. */
function real(x) {
  if (typeof x === "number") return x;
  return { inf: Infinity, "-inf": -Infinity }[x] ?? NaN;
}

/** Look up a key that data may have chosen: never what every object has. */
function own(object, key) {
  return object && Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Give one number of a nested list. */
function at(nested, index) {
  return index.reduce((inner, i) => (Array.isArray(inner) ? inner[i] : undefined), nested);
}

/** List all indices of an array of this shape. */
function indices(shape) {
  return shape.reduce(
    (found, size) => found.flatMap((index) => Array.from({ length: size }, (_, i) => [...index, i])),
    [[]],
  );
}
