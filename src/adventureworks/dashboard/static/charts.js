// Draws the page's charts from their Vega-Lite specifications, in light or dark mode.
import { expressionInterpreter } from "./vendor/vega-interpreter.js";

const specs = JSON.parse(document.getElementById("charts").textContent);

const draw = async (scheme) => {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = specs[place.dataset.chart][scheme];
    // Interpret expressions instead of compiling them, so that the page's policy can forbid eval.
    const options = { actions: false, renderer: "svg", ast: true, expr: expressionInterpreter };
    options.formatLocale = spec.config?.locale?.number;
    await window.vegaEmbed(place, spec, options);
    const svg = place.querySelector("svg");
    if (svg) {
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", place.closest("figure").querySelector("figcaption").textContent);
    }
    place.dataset.drawn = scheme;
  }
};

addEventListener("load", () => draw(document.documentElement.dataset.scheme));
document.addEventListener("scheme", (event) => draw(event.detail));
