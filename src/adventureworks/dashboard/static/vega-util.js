// The parts of vega-util that the interpreter needs, taken from Vega's bundle, which is already loaded.
export const { ascending, isString } = window.vega;
// Property names that chart expressions may not access.
export const DisallowedObjectProperties = new Set(
  Object.getOwnPropertyNames(Object.prototype).filter((name) => typeof Object.prototype[name] === "function")
);
