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

  const { View: VegaView, logger, Warn } = window.vegaEmbed?.vega ?? {};

  // A layer may be empty, say since all methods are hidden, and then has no extent: no fault.
  function isOfEmptyLayer(words) {
    return String(words[0]).startsWith("Infinite extent");
  }

  const ChartView = VegaView && class extends VegaView {
    constructor(runtime, options) {
      const log = logger(Warn);
      const warn = log.warn.bind(log);
      log.warn = (...words) => (isOfEmptyLayer(words) ? log : warn(...words));
      super(runtime, { ...options, logger: log });
    }
  };

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
      viewClass: ChartView,
      renderer: "svg",
      config,
      actions: { export: true, source: false, compiled: false, editor: false },
      downloadFileName: `robench-${key}`,
      tooltip: { theme: scheme },
    });
    views[key] = done.view;
    // The drawing is one image with a name; its hundreds of marks are no elements of the page.
    const drawing = place.querySelector("svg.marks");
    for (const part of drawing.children) part.setAttribute("aria-hidden", "true");
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", place.dataset.label);
    place.querySelector("summary").setAttribute("aria-label", "Save this chart");
    place.querySelector("details").title = "Save this chart";
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

  // Not every panel has every level: moves the other choices to the nearest that have data.
  function moveOthers(select) {
    const key = select.dataset.view;
    const { parameters, combinations } = specs[key].usermeta.choices ?? { parameters: [] };
    const changed = parameters.indexOf(select.dataset.parameter);
    if (changed < 0) return;
    const selects = parameters.map((name) =>
      document.querySelector(`select[data-view="${key}"][data-parameter="${name}"]`),
    );
    const now = selects.map((other) => Number(other.value));
    const kept = (values) =>
      values.reduce((sum, value, place) => sum + (value === now[place]) * 2 ** -place, 0);
    const possible = combinations.filter((values) => values[changed] === now[changed]);
    const nearest = possible.reduce((best, values) => (kept(values) > kept(best) ? values : best));
    selects.forEach((other, place) => {
      other.value = [...other.options].find((o) => Number(o.value) === nearest[place]).value;
    });
  }

  for (const select of document.querySelectorAll("select[data-view]")) {
    select.addEventListener("change", () => {
      moveOthers(select);
      update(select.dataset.view);
    });
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

  // A spreadsheet takes text that begins so for a formula; numbers stay numbers.
  function forSpreadsheet(text) {
    const isNumber = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text);
    return !isNumber && /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
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
    const body = (html) => forSpreadsheet(DataTable.Buttons.stripData(html, null));
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
        topEnd: {
          buttons: [
            { extend: "csv", text: "CSV of these rows", filename: "rows", exportOptions: { format: { body } } },
            { extend: "colvis", text: "columns" },
          ],
        },
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
