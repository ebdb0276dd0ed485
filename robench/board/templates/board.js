// Brings the page to life: charts that follow the window and the colour scheme, a table that sorts.
(() => {
  "use strict";
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const specs = data("specs");
  const configs = data("configs");
  const views = {};
  const drawnWith = {};
  const hidden = new Set();
  let table = null;

  // -- charts -----------------------------------------------------------------------------------

  function chosen(key) {
    const values = { hidden_methods: [...hidden] };
    for (const select of document.querySelectorAll(`select[data-view="${key}"]`)) {
      values[select.dataset.parameter] = Number(select.value);
    }
    return values;
  }

  // How many small multiples stand side by side, and how wide each is, in the room that there is.
  function fitted(spec, room) {
    const { panel_width: wanted, panels, beside } = spec.usermeta;
    const most = Math.min(spec.columns, panels);
    const columns = Math.max(1, Math.min(most, Math.floor(room / (0.85 * wanted + beside))));
    const width = Math.max(160, Math.floor(room / columns) - beside);
    const inner = { ...spec.spec };
    if (typeof inner.height === "number") inner.width = Math.min(width, wanted * 1.8);
    const facet = { ...spec.facet, header: { ...spec.facet.header, labelLimit: width } };
    return { ...spec, columns, facet, spec: inner };
  }

  async function draw(key) {
    const place = document.getElementById(`chart-${key}`);
    const spec = fitted(specs[key], place.clientWidth);
    const scheme = dark.matches ? "dark" : "light";
    const look = [scheme, spec.columns, spec.spec.width].join();
    if (drawnWith[key] === look) return;
    drawnWith[key] = look;
    const values = chosen(key);
    spec.params = spec.params.map((parameter) => ({
      ...parameter,
      value: values[parameter.name] ?? parameter.value,
    }));
    const config = { ...configs[scheme], background: "transparent" };
    config.legend = { ...config.legend, disable: true };
    const done = await window.vegaEmbed(place, spec, {
      mode: "vega-lite",
      renderer: "svg",
      config,
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: `robench-${key}`,
      tooltip: { theme: scheme },
    });
    views[key] = done.view;
  }

  function drawAll() {
    for (const key of Object.keys(specs)) {
      draw(key).catch((error) => {
        document.getElementById(`chart-${key}`).textContent = `The chart cannot be drawn: ${error}`;
      });
    }
  }

  function update(key) {
    const view = views[key];
    if (!view) return;
    for (const [name, value] of Object.entries(chosen(key))) view.signal(name, value);
    view.runAsync();
  }

  for (const select of document.querySelectorAll("select[data-view]")) {
    select.addEventListener("change", () => update(select.dataset.view));
  }

  let pending = 0;
  window.addEventListener("resize", () => {
    clearTimeout(pending);
    pending = setTimeout(drawAll, 150);
  });

  function followScheme() {
    document.documentElement.classList.toggle("dark", dark.matches);
    drawAll();
  }
  dark.addEventListener("change", followScheme);

  // -- methods ----------------------------------------------------------------------------------

  const chips = [...document.querySelectorAll(".chip")];

  function showMethods() {
    for (const chip of chips) {
      chip.setAttribute("aria-pressed", String(!hidden.has(chip.dataset.method)));
    }
    Object.keys(views).forEach(update);
    if (table) table.draw();
  }

  for (const chip of chips) {
    const method = chip.dataset.method;
    chip.addEventListener("click", () => {
      if (!hidden.delete(method)) hidden.add(method);
      showMethods();
    });
    chip.addEventListener("dblclick", () => {
      const others = chips.map((other) => other.dataset.method).filter((name) => name !== method);
      const isAlone = others.every((name) => hidden.has(name));
      hidden.clear();
      if (!isAlone) others.forEach((name) => hidden.add(name));
      showMethods();
    });
  }

  // -- table ------------------------------------------------------------------------------------

  // Numbers that are missing, or belong to rows that are not whole, come last in both directions.
  function missingLast(sign) {
    return (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (a - b);
    };
  }

  async function enliven() {
    const element = document.getElementById("rows");
    if (!element) return;
    const code = new Blob([data("table-module")], { type: "text/javascript" });
    const address = URL.createObjectURL(code);
    const { default: DataTable } = await import(address);
    URL.revokeObjectURL(address);
    DataTable.type("measured", {
      order: {
        pre: (text) => (text === "" || text === null ? null : Number(text)),
        asc: missingLast(1),
        desc: missingLast(-1),
      },
      className: "number",
    });
    const kinds = [...element.tHead.rows[0].cells].map((cell) => cell.dataset.kind);
    table = new DataTable(element, {
      order: [],
      pageLength: 50,
      lengthMenu: [25, 50, 100, { label: "all", value: -1 }],
      columns: kinds.map((kind) => ({
        type: kind === "measured" ? "measured" : kind === "level" ? "num" : "string",
        columnControl: kind === "name" ? [["searchList"]] : [],
      })),
      layout: {
        topStart: "search",
        topEnd: { buttons: [{ extend: "csv", text: "CSV of these rows", filename: "rows" }, { extend: "colvis", text: "columns" }] },
        bottomStart: "info",
        bottomEnd: ["pageLength", "paging"],
      },
      language: { search: "", searchPlaceholder: "Search rows" },
    });
    table.search.fixed("methods", (text, row, index) => {
      return !hidden.has(table.row(index).node().dataset.method);
    });
    table.draw();
  }

  followScheme();
  enliven();
})();
