// What the interpreter needs of Vega's small functions: Vega's bundle, which is loaded already, holds them.
export const { ascending, isString } = window.vega;
// Names that no expression of a chart may reach.
export const DisallowedObjectProperties = new Set(
  Object.getOwnPropertyNames(Object.prototype).filter((name) => typeof Object.prototype[name] === "function")
);
