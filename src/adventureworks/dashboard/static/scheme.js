// Light or dark mode: the user's choice here, else the mode of the surrounding Airflow page, else the system's setting.
(() => {
  const key = "adventureworks-scheme";
  const around = () => {
    try {
      const root = window.parent !== window && window.parent.document.documentElement;
      return root && (root.classList.contains("dark") ? "dark" : root.classList.contains("light") ? "light" : null);
    } catch {
      return null;
    }
  };
  const system = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const show = (scheme) => {
    document.documentElement.dataset.scheme = scheme;
    document.dispatchEvent(new CustomEvent("scheme", { detail: scheme }));
  };
  show(localStorage.getItem(key) || around() || system());
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("scheme").addEventListener("click", () => {
      const other = document.documentElement.dataset.scheme === "dark" ? "light" : "dark";
      localStorage.setItem(key, other);
      show(other);
    });
    for (const form of document.querySelectorAll("form[data-submit]")) {
      const select = form.querySelector("select");
      select.addEventListener("change", () => { location.search = select.value; });
      form.addEventListener("submit", (event) => event.preventDefault());
    }
  });
})();
