"use strict";

// What the reader has set (hidden entries, zoomed panels, searches, sorted columns) outlives a reload.
const kept = { hidden: [], zoom: {}, search: {}, sort: {}, ...history.state };
const keep = () => history.replaceState(kept, "");

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// ---- Tables

// Numbers are compared as numbers, with "–" last.
const value = cell => {
  const text = cell.textContent.trim().replaceAll(",", "").replaceAll("−", "-");
  const found = text.match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/);
  return text === "–" ? null : found && !/[a-z]{2}/i.test(text) ? Number(found[0]) : text;
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));

const sort = (table, column, up) => {
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    if (place === column) head.setAttribute("aria-sort", up ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
  const rows = [...table.tBodies[0].rows].map(row => [value(row.cells[column]), row]);
  rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : up ? compare(a, b) : compare(b, a));
  table.tBodies[0].append(...rows.map(([, row]) => row));
};

const sortable = (table, name) => {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = make("button", { type: "button", title: "sort by this column", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      kept.sort[name] = [column, head.getAttribute("aria-sort") !== "ascending"];
      sort(table, ...kept.sort[name]);
      keep();
    });
  });
  if (kept.sort[name]) sort(table, ...kept.sort[name]);
  for (const cell of table.querySelectorAll("th, td")) {
    if (cell.textContent.length > (cell.tagName === "TH" ? 28 : 40)) cell.classList.add("long");
  }
  if (table.offsetWidth > table.parentElement.clientWidth) table.classList.add("scrolls");
};

const FILTERED_FROM = 20;  // rows
const filterable = (table, tools, name) => {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < FILTERED_FROM) return;
  const field = make("input", { type: "search", placeholder: "filter rows", value: kept.search[name] ?? "" });
  field.setAttribute("aria-label", "Show only the rows that contain these words");
  const shown = make("output");
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const cells = [...row.cells].map(cell => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every(word => cells.includes(word));
      count += !row.hidden;
    }
    shown.textContent = words.length ? `${count} of ${rows.length} rows` : "";
  };
  field.addEventListener("input", () => {
    kept.search[name] = field.value;
    keep();
    filter();
  });
  tools.append(field, shown);
  filter();
};

document.querySelectorAll("div.table").forEach((box, number) => {
  box.querySelectorAll("table").forEach((table, part) => {
    sortable(table, `${number}.${part}`);
    filterable(table, box.querySelector(".tools"), `${number}.${part}`);
  });
});

// ---- Figures
//
// A place in a panel is a pair of numbers from 0 to 1: u from left to right, v from bottom to top. Scales are linear in
// them. A view [u0, u1, v0, v1] is the part of a panel that is shown.

const WHOLE = [0, 1, 0, 1];
const log = axis => axis.scale === "log";
const part = (axis, number) => {
  const [low, high] = axis.limits;
  if (!log(axis)) return (number - low) / (high - low);
  return number <= 0 ? 0 : Math.log(number / low) / Math.log(high / low);
};
const numberAt = (axis, place) => {
  const [low, high] = axis.limits;
  return log(axis) ? low * (high / low) ** place : low + place * (high - low);
};
const same = (a, b) => a.scale === b.scale && a.limits.every((limit, index) => limit === b.limits[index]);

// A number as the report's text and figures have it (notation.py), but without thousands separators.
const written = (number, largest = 1e10) => {
  const size = Math.abs(number);
  if (!size || (size >= 1e-4 && size < largest)) return String(number);
  const [factor, power] = number.toExponential().split("e");
  const raised = String(Number(power)).replace(/./g, sign => sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]);
  return `${factor === "1" ? "" : `${factor} × `}10${raised}`;
};

// Round numbers between two others: about five.
const ticksBetween = (axis, from, to) => {
  const [low, high] = from < to ? [from, to] : [to, from];
  if (log(axis) && high / low > 10) {
    const factors = high / low < 200 ? [1, 2, 5] : [1];
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      found.push(...factors.map(factor => Number(`${factor}e${power}`)));
    }
    return found.filter(tick => tick >= low && tick <= high).map(tick => [tick, written(tick, 1e5)]);
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map(factor => factor * power).find(round => round >= rough);
  if (axis.whole) step = Math.max(1, step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) {
    found.push([index * step, digits > 6 ? written(Number((index * step).toPrecision(3))) : (index * step).toFixed(digits)]);
  }
  return found;
};

// One of a figure's two drawings.
class Drawing {
  constructor(svg, panels, which) {
    this.svg = svg;
    this.panels = panels.map((panel, index) => {
      const find = name => svg.querySelector(`#${CSS.escape(svg.dataset.ids + name)}`);
      const [left, top, width, height] = panel.boxes[which];
      const shapes = panel.shapes.map(shape => ({ ...shape, element: find(shape.id) })).filter(shape => shape.element);
      return { ...panel, left, top, width, height, shapes, axes: { x: find(`p${index}x`), y: find(`p${index}y`) }, view: WHOLE };
    });
  }

  // The point of the drawing under the pointer, in its coordinates.
  point(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }

  panelAt({ x, y }) {
    return this.panels.findIndex(one => x >= one.left && x <= one.left + one.width && y >= one.top && y <= one.top + one.height);
  }

  // Where a place in a panel is drawn.
  place(panel, u, v) {
    const [u0, u1, v0, v1] = panel.view;
    const x = panel.left + ((u - u0) / (u1 - u0)) * panel.width;
    return [x, panel.top + (1 - (v - v0) / (v1 - v0)) * panel.height];
  }

  show(index, view) {
    const panel = this.panels[index];
    panel.view = view;
    for (const shape of panel.shapes) this.move(panel, shape);
    for (const name of ["x", "y"]) this.drawTicks(panel, name);
  }

  // Moves a shape to where the panel's view has it. What its elements looked like is kept, so that nothing adds up.
  move(panel, shape) {
    if (!shape.moves) return;
    this.clip(panel, shape);
    const shift = (x, y) => {
      const moved = this.place(panel, (x - panel.left) / panel.width, 1 - (y - panel.top) / panel.height);
      return [shape.moves.includes("x") ? moved[0] : x, shape.moves.includes("y") ? moved[1] : y];
    };
    if (shape.kind === "text") {
      if (!shape.at) return;
      const [u, v] = [part(panel.x, shape.at[0]), part(panel.y, shape.at[1])];
      const [x, y] = this.place(panel, u, v);
      const inside = x >= panel.left - 1 && x <= panel.left + panel.width + 1 && y >= panel.top - 1 && y <= panel.top + panel.height + 1;
      shape.element.style.visibility = inside ? "" : "hidden";
      shape.element.setAttribute("transform", `translate(${x - panel.left - u * panel.width} ${y - panel.top - (1 - v) * panel.height})`);
      return;
    }
    shape.parts ??= [...shape.element.querySelectorAll("path, use")]
      .filter(element => shape.kind === "area" || element.tagName === "use" || !element.closest("defs"))
      .map(element => ({ element, d: element.getAttribute("d"), x: Number(element.getAttribute("x")), y: Number(element.getAttribute("y")) }));
    const used = shape.kind === "area" ? shape.parts.find(one => one.element.tagName === "use") : null;
    const [dx, dy] = used ? [used.x, used.y] : [0, 0];
    for (const one of shape.parts) {
      if (one.element.tagName === "path") {
        one.element.setAttribute("d", one.d.replace(/(-?[\d.]+(?:e-?\d+)?) (-?[\d.]+(?:e-?\d+)?)/g, (_, x, y) => {
          const [toX, toY] = shift(Number(x) + dx, Number(y) + dy);
          return `${(toX - dx).toFixed(2)} ${(toY - dy).toFixed(2)}`;
        }));
      } else if (shape.kind === "marks") {
        const [x, y] = shift(one.x, one.y);
        one.element.setAttribute("x", x);
        one.element.setAttribute("y", y);
      }
    }
  }

  // A shape that isn't cut at the panel's edges is, from now on, unless it is text.
  clip(panel, shape) {
    if (shape.kind === "text" || shape.clipped) return;
    shape.clipped = true;
    const clip = this.svg.querySelector(`#${CSS.escape(panel.id)}`) ?? this.addClip(panel);
    shape.element.setAttribute("clip-path", `url(#${clip.id})`);
  }

  addClip(panel) {
    panel.id = `${this.svg.dataset.ids}clip${this.panels.indexOf(panel)}`;
    const space = "http://www.w3.org/2000/svg";
    const clip = document.createElementNS(space, "clipPath");
    const box = document.createElementNS(space, "rect");
    for (const [name, number] of Object.entries({ x: panel.left, y: panel.top, width: panel.width, height: panel.height })) {
      box.setAttribute(name, number);
    }
    clip.id = panel.id;
    clip.append(box);
    this.svg.append(clip);
    return clip;
  }

  // Ticks of a part of an axis: copies of the first tick, moved and labeled anew.
  drawTicks(panel, name) {
    const group = panel.axes[name];
    if (!group) return;
    const drawn = [...group.children].filter(child => /[xy]tick_\d+$/.test(child.id));
    for (const old of group.querySelectorAll(":scope > .added")) old.remove();
    const [from, to] = name === "x" ? panel.view.slice(0, 2) : panel.view.slice(2);
    const whole = from === 0 && to === 1;
    for (const tick of drawn) tick.style.display = whole ? "" : "none";
    const model = drawn.find(tick => tick.querySelector("use"));
    if (whole || !model) return;
    const axis = panel[name];
    const [low, high] = [numberAt(axis, from), numberAt(axis, to)];
    const wanted = axis.ticks ?? ticksBetween(axis, low, high);
    const start = Number(model.querySelector("use").getAttribute(name));
    for (const [number, label] of wanted) {
      const at = part(axis, number);
      if (at < from - 1e-9 || at > to + 1e-9) continue;
      const tick = model.cloneNode(true);
      tick.style.display = "";
      tick.classList.add("added");
      tick.removeAttribute("id");
      for (const inner of tick.querySelectorAll("[id]")) if (!inner.closest("defs")) inner.removeAttribute("id");
      for (const inner of tick.querySelectorAll("[clip-path]")) inner.removeAttribute("clip-path");
      tick.querySelectorAll("text").forEach((text, line) => { text.textContent = line ? "" : label; });
      const [x, y] = this.place(panel, at, at);
      tick.setAttribute("transform", name === "x" ? `translate(${x - start} 0)` : `translate(0 ${y - start})`);
      group.append(tick);
    }
  }
}

const tip = make("div", { className: "tip", hidden: true });
document.body.append(tip);
const short = number => written(Number(number.toPrecision(5)));
const nearest = (ticks, number) => ticks.reduce((a, b) => Math.abs(a[0] - number) <= Math.abs(b[0] - number) ? a : b);
// On an axis of names or of a few values, marks at the same one are drawn side by side.
const cell = (axis, number) => axis.ticks ? nearest(axis.ticks, number)[1] : axis.few ? nearest(axis.few, number)[0] : number;
const described = (axis, number) => {
  const shown = cell(axis, number);
  return typeof shown === "number" ? `${axis.label} ${short(shown)}` : shown;
};
const parts = name => name.split(" · ");
const isHidden = name => kept.hidden.some(key => parts(key).every(word => parts(name).includes(word)));

// The values behind a figure: headers and rows.
const rowsOf = panels => {
  const joined = name => [...new Set(panels.map(panel => panel[name].label))].filter(Boolean).join(" / ") || name;
  if (panels.some(panel => panel.cells)) {
    const rows = panels.flatMap(panel => (panel.cells?.values ?? []).flatMap((line, row) =>
      line.map((number, column) => [panel.title, panel.cells.rows[row], panel.cells.columns[column], number])));
    return [["panel", joined("y"), joined("x"), "value"], rows.filter(row => row[3] !== null)];
  }
  const rows = panels.flatMap(panel => panel.shapes.filter(shape => shape.x).flatMap(shape =>
    shape.x.map((x, index) => [panel.title, shape.name, cell(panel.x, x), cell(panel.y, shape.y[index])])));
  return [["panel", "line", joined("x"), joined("y")], rows];
};

const csv = rows => rows.map(row => row.map(cell => {
  const text = String(cell ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}).join(",") + "\n").join("");

// One row per line, for readers of tables: where it starts and ends, and its extremes.
const summary = panels => {
  const [heads, rows] = rowsOf(panels);
  if (panels.some(panel => panel.cells)) return [heads, rows.sort((a, b) => b[3] - a[3]).slice(0, 30)];
  if (panels.some(panel => panel.x.ticks || panel.y.ticks)) return [heads, rows];
  const lines = panels.flatMap(panel => panel.shapes.filter(shape => shape.x).map(({ name, x, y }) => {
    const known = x.map((at, index) => [at, y[index]]).filter(([at, number]) => at !== null && number !== null);
    const numbers = known.map(([, number]) => number);
    const end = known.at(-1) ?? ["", ""];
    return [panel.title, name, known.length, known[0]?.[1] ?? "", end[1], Math.min(...numbers), Math.max(...numbers), end[0]];
  })).filter(row => row[2]);
  return [["panel", "line", "points", `first ${heads[3]}`, "last", "lowest", "highest", `last ${heads[2]}`], lines];
};

const tableOf = ([heads, rows]) => {
  const cells = (tag, row) => make("tr", {}, ...row.map(cell => make(tag, { textContent: typeof cell === "number" ? short(cell) : cell ?? "–" })));
  const table = make("table", {}, make("thead", {}, cells("th", heads)), make("tbody", {}, ...rows.map(row => cells("td", row))));
  for (const head of table.querySelectorAll("th")) head.scope = "col";
  return table;
};

const figures = [...document.querySelectorAll(".figure")].map(box => {
  const plot = box.querySelector(".plot");
  const { panels, step } = JSON.parse(box.querySelector("script").textContent);
  for (const panel of panels) {
    for (const name of ["x", "y"]) {
      panel[name].whole = panel.shapes.every(shape => !shape[name] || shape[name].every(Number.isInteger));
    }
  }
  const name = plot.dataset.name;
  const drawings = [...plot.querySelectorAll("svg")].map((svg, which) => new Drawing(svg, panels, which));
  const reset = make("button", { type: "button", textContent: "reset zoom", hidden: true });

  // Zooms a panel, and those with the same axes along them.
  const zoom = (index, view) => {
    panels.forEach((panel, other) => {
      const before = drawings[0].panels[other].view;
      const alongX = other === index || same(panel.x, panels[index].x);
      const alongY = other === index || same(panel.y, panels[index].y);
      const next = [...(alongX ? view.slice(0, 2) : before.slice(0, 2)), ...(alongY ? view.slice(2) : before.slice(2))];
      for (const drawing of drawings) drawing.show(other, next);
    });
    const views = drawings[0].panels.map(panel => panel.view);
    reset.hidden = views.every(one => one.every((edge, at) => edge === WHOLE[at]));
    if (reset.hidden) delete kept.zoom[name];
    else kept.zoom[name] = views;
  };
  const zoomOut = () => {
    panels.forEach((_, index) => zoom(index, WHOLE));
    keep();
  };
  reset.addEventListener("click", zoomOut);

  const tools = make("p", { className: "tools" });
  const save = make("button", { type: "button", textContent: "CSV" });
  save.addEventListener("click", () => {
    const [heads, rows] = rowsOf(panels);
    const address = URL.createObjectURL(new Blob([csv([heads, ...rows])], { type: "text/csv" }));
    make("a", { href: address, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  tools.append(save, reset);
  if (step > 1) tools.append(make("output", { textContent: `every ${step}th point is shown; epochs.csv has all` }));
  const values = make("div", { className: "box values", tabIndex: 0, hidden: true });
  const open = make("button", { type: "button", textContent: "table" });
  open.setAttribute("aria-expanded", "false");
  open.addEventListener("click", () => {
    values.hidden = !values.hidden;
    open.setAttribute("aria-expanded", String(!values.hidden));
    if (values.firstChild) return;
    const table = tableOf(summary(panels));
    values.append(table);
    sortable(table, `values.${name}`);
  });
  save.after(open);
  box.append(tools, values);

  for (const drawing of drawings) interact(drawing, zoom, zoomOut);
  return { name, panels, drawings, zoom, legend: box.querySelector(".legend") };
});

// Hovering, dragging and double clicks in one drawing.
function interact(drawing, zoom, zoomOut) {
  const space = "http://www.w3.org/2000/svg";
  const spot = document.createElementNS(space, "circle");
  const area = document.createElementNS(space, "rect");
  spot.setAttribute("class", "marked");
  area.setAttribute("class", "dragged");
  spot.setAttribute("r", 3.5);
  let start = null;
  const { svg } = drawing;

  const hide = () => {
    tip.hidden = true;
    spot.remove();
  };

  const hover = event => {
    const at = drawing.point(event);
    const panel = drawing.panels[drawing.panelAt(at)];
    if (!panel) return hide();
    if (panel.cells) return hoverCell(event, at, panel);
    let best = { distance: 60 / svg.getScreenCTM().a };
    for (const shape of panel.shapes) {
      if (!shape.x || isHidden(shape.name)) continue;
      shape.places ??= shape.x.map((x, index) => x === null || shape.y[index] === null ? null : [part(panel.x, x), part(panel.y, shape.y[index])]);
      shape.places.forEach((place, index) => {
        if (!place) return;
        const [x, y] = drawing.place(panel, ...place);
        const distance = Math.hypot(x - at.x, y - at.y);
        const inside = x > panel.left - 1 && x < panel.left + panel.width + 1 && y > panel.top - 1 && y < panel.top + panel.height + 1;
        if (inside && distance < best.distance) best = { distance, shape, index, x, y };
      });
    }
    if (!best.shape) return hide();
    const { shape, index } = best;
    spot.setAttribute("cx", best.x);
    spot.setAttribute("cy", best.y);
    svg.append(spot);
    say(event, shape.name, `${described(panel.x, shape.x[index])}, ${described(panel.y, shape.y[index])}`);
  };

  const hoverCell = (event, at, panel) => {
    const { rows, columns, values } = panel.cells;
    const row = Math.floor(((at.y - panel.top) / panel.height) * rows.length);
    const column = Math.floor(((at.x - panel.left) / panel.width) * columns.length);
    const number = values[row]?.[column];
    if (number === undefined || number === null) return hide();
    say(event, panel.title, `${panel.y.label || "row"} ${rows[row]}, ${panel.x.label || "column"} ${columns[column]}: ${short(number)}`);
  };

  const say = (event, head, text) => {
    tip.replaceChildren(make("b", { textContent: head }), text);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const right = event.clientX + 14 + width > innerWidth;
    tip.style.left = `${Math.max(4, right ? event.clientX - 14 - width : event.clientX + 14)}px`;
    tip.style.top = `${event.clientY + 14 + height > innerHeight ? event.clientY - 14 - height : event.clientY + 14}px`;
  };

  const corners = (panel, from, to) => {
    const x = [from.x, to.x].map(edge => Math.min(Math.max(edge, panel.left), panel.left + panel.width)).sort((a, b) => a - b);
    const y = [from.y, to.y].map(edge => Math.min(Math.max(edge, panel.top), panel.top + panel.height)).sort((a, b) => a - b);
    return [x, y];
  };

  svg.addEventListener("pointerdown", event => {
    hover(event);
    const at = drawing.point(event);
    const index = drawing.panelAt(at);
    if (event.button || event.pointerType === "touch" || index < 0 || drawing.panels[index].cells) return;
    event.preventDefault();
    start = { at, index };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", event => {
    if (!start) return hover(event);
    hide();
    const [[left, right], [top, bottom]] = corners(drawing.panels[start.index], start.at, drawing.point(event));
    for (const [name, number] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) area.setAttribute(name, number);
    svg.append(area);
  });
  svg.addEventListener("pointerup", event => {
    if (!start) return;
    const { at, index } = start;
    const panel = drawing.panels[index];
    start = null;
    area.remove();
    const [[left, right], [top, bottom]] = corners(panel, at, drawing.point(event));
    const least = 8 / svg.getScreenCTM().a;
    // A drag along one axis zooms along this axis only.
    const [u0, u1, v0, v1] = panel.view;
    const [wide, high] = [right - left >= least, bottom - top >= least];
    if (!wide && !high) return;
    const u = edge => u0 + ((edge - panel.left) / panel.width) * (u1 - u0);
    const v = edge => v1 - ((edge - panel.top) / panel.height) * (v1 - v0);
    const view = [...(wide ? [u(left), u(right)] : [u0, u1]), ...(high ? [v(bottom), v(top)] : [v0, v1])];
    if (view[1] - view[0] < 1e-4 || view[3] - view[2] < 1e-4) return;
    zoom(index, view);
    keep();
  });
  svg.addEventListener("pointercancel", () => {
    start = null;
    area.remove();
  });
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("dblclick", zoomOut);
}

// Legends: an entry stands for everything whose name has all parts of the entry's label, in all figures.
const buttons = [];
const hideHidden = () => {
  for (const { drawings } of figures) {
    for (const shape of drawings.flatMap(drawing => drawing.panels.flatMap(panel => panel.shapes))) {
      if (shape.name) shape.element.style.display = isHidden(shape.name) ? "none" : "";
    }
  }
  for (const [key, button] of buttons) button.setAttribute("aria-pressed", String(!kept.hidden.includes(key)));
};
for (const { panels, legend } of figures) {
  const names = panels.flatMap(panel => panel.shapes.map(shape => shape.name)).filter(Boolean);
  for (const entry of legend?.children ?? []) {
    const key = entry.textContent;
    if (!names.some(name => parts(key).every(word => parts(name).includes(word)))) continue;
    const button = make("button", { type: "button", title: "hide or show in all figures" }, ...entry.childNodes);
    button.addEventListener("click", () => {
      kept.hidden = kept.hidden.includes(key) ? kept.hidden.filter(other => other !== key) : [...kept.hidden, key];
      keep();
      hideHidden();
    });
    buttons.push([key, button]);
    entry.append(button);
  }
}
hideHidden();
for (const { name, panels, drawings, zoom } of figures) {
  const views = kept.zoom[name];
  // A later report may have other panels.
  if (views?.length === panels.length) views.forEach((view, index) => zoom(index, view));
}

// ---- On paper, nothing can be opened.
const opened = [];
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    opened.push(details);
  }
});
addEventListener("afterprint", () => {
  for (const details of opened.splice(0)) details.open = false;
});

// ---- While aggregate.py --watch runs, a script beside the page calls this with the stamp of the latest report.
const { stamp } = document.body.dataset;
if (stamp) {
  const again = () => {
    const script = make("script", { src: `report.watch.js?${Date.now()}` });
    script.addEventListener("load", () => script.remove());
    // The file is gone when watching has ended: load the last report, once.
    script.addEventListener("error", () => {
      if (kept.ended === stamp) return;
      kept.ended = stamp;
      keep();
      location.reload();
    });
    document.head.append(script);
  };
  globalThis.reportStamp = latest => {
    if (latest !== stamp && !document.querySelector(".dragged")) location.reload();
    else setTimeout(again, 2000);
  };
  setTimeout(again, 2000);
}
