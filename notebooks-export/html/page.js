// SPDX-License-Identifier: Apache-2.0
// What the page does beyond showing its figures: values where one points, a checkpoint to look at,
// tables to sort. Panels are described by the JSON beside this script: where they are in their
// figure (points), their rows and columns, and their values. A row of values is base64 of
// little-endian 32-bit floats, behind a # of bytes (255: nothing), or null when it is empty.
(() => {
  "use strict";
  const svgNamespace = "http://www.w3.org/2000/svg";
  const data = JSON.parse(document.getElementById("data").textContent);
  const hint = document.getElementById("hint");
  const slider = document.getElementById("checkpoint");
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // ---- values ------------------------------------------------------------------------------
  const decode = (text) => {
    const small = text[0] === "#";
    const bytes = Uint8Array.from(atob(text.slice(small ? 1 : 0)), (byte) => byte.charCodeAt(0));
    if (small) return Array.from(bytes, (byte) => (byte === 255 ? NaN : byte));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  };
  const decoded = new Map();
  const rowOf = (matrix, row) => {
    const text = data.matrices[matrix][row];
    if (text === null) return null;
    if (!decoded.has(text)) decoded.set(text, decode(text));
    return decoded.get(text);
  };
  const inMatrix = (matrix, row, column) => rowOf(matrix, row)?.[column] ?? NaN;
  const valueAt = (panel, row, column) => inMatrix(panel.matrix, row, column);

  const written = (value) => {
    if (!Number.isFinite(value)) return "not measured";
    const text = value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(3)
      : String(Number(value.toPrecision(4)));
    return text.replaceAll("-", "\u2212");
  };

  // ---- places ------------------------------------------------------------------------------
  // The middle of a column; `at` holds shares of the width where columns are not of equal width.
  const columnX = (panel, column) =>
    panel.x + panel.width * (panel.at ? panel.at[column] : (column + 0.5) / panel.columns);
  // A place before it is set between the ends, as figures/scale.c has it.
  const stretched = ({ log, linear }, value) => {
    if (log) return Math.log(value);
    if (!linear) return value;
    const decades = Math.abs(value) / linear;
    return Math.sign(value) * (decades <= 1 ? decades : 1 + Math.log10(decades));
  };
  const shareOf = (scale, value) => {
    const low = stretched(scale, scale.low);
    return (stretched(scale, value) - low) / (stretched(scale, scale.high) - low);
  };
  // Where a value is on the scale of a panel of lines or points.
  const lineY = (panel, value) => panel.y + panel.height * (1 - shareOf(panel.scale, value));
  const cellY = (panel, row) => panel.y + panel.height * (row + 0.5) / panel.rows.length;
  const placeY = (panel, row, column) =>
    panel.cells ? cellY(panel, row) : lineY(panel, valueAt(panel, row, column));
  // In a panel of points a row lies at its own value across, else at the column.
  const placeX = (panel, row, column) => panel.scaleAcross
    ? panel.x + panel.width * shareOf(panel.scaleAcross, inMatrix(panel.across, row, column))
    : columnX(panel, column);

  // The index of the least distance, -1 when none is finite.
  const nearest = (count, distance) => {
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      const d = distance(i);
      if (d < least) { least = d; best = i; }
    }
    return best;
  };

  const locate = (panel, x, y) => {
    if (panel.cells) {
      return {
        column: clamp(Math.floor((x - panel.x) / panel.width * panel.columns), 0, panel.columns - 1),
        row: clamp(Math.floor((y - panel.y) / panel.height * panel.rows.length), 0,
          panel.rows.length - 1),
      };
    }
    if (panel.scaleAcross) {
      const column = Number(slider.value);
      return { column, row: nearest(panel.rows.length, (i) =>
        Math.hypot(placeX(panel, i, column) - x, placeY(panel, i, column) - y)) };
    }
    const column = nearest(panel.columns, (i) => Math.abs(columnX(panel, i) - x));
    return { column, row: nearest(panel.rows.length, (i) => Math.abs(placeY(panel, i, column) - y)) };
  };

  // ---- pointing ----------------------------------------------------------------------------
  const element = (name, attributes, parent) => {
    const made = document.createElementNS(svgNamespace, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  };

  let cursor = null; // { panel, row, column, mark, byKey } where the reader points
  const forget = () => {
    cursor?.mark.remove();
    cursor = null;
    hint.hidden = true;
  };

  // A pointer that merely lies there takes nothing away from the keyboard.
  const leave = () => {
    if (!cursor?.byKey) forget();
  };

  const columnName = (panel, column) =>
    panel.byCheckpoint ? data.checkpoints[column]
      : panel.columnNames ? panel.columnNames[column] : String(column);

  const sentence = (panel, row, column) => {
    const where = [panel.title, panel.rows[row], columnName(panel, column)].filter(Boolean);
    const across = panel.scaleAcross
      ? `${panel.quantityAcross} ${written(inMatrix(panel.across, row, column))}, ` : "";
    const interval = Number.isFinite(inMatrix(panel.low ?? panel.matrix, row, column)) &&
      "low" in panel ? ` [${written(inMatrix(panel.low, row, column))}, ` +
      `${written(inMatrix(panel.high, row, column))}]` : "";
    return `${where.join(", ")}: ${across}${panel.quantity} ` +
      `${written(valueAt(panel, row, column))}${interval}`;
  };

  const showHint = (panel, row, column) => {
    const box = panel.svg.getBoundingClientRect();
    const scale = box.width / panel.svg.viewBox.baseVal.width;
    hint.textContent = sentence(panel, row, column);
    hint.hidden = false;
    const x = box.left + scale * placeX(panel, row, column) + 12;
    const y = box.top + scale * placeY(panel, row, column) + 12;
    hint.style.left = `${clamp(x, 4, Math.max(4, innerWidth - hint.offsetWidth - 4))}px`;
    hint.style.top = `${clamp(y, 4, Math.max(4, innerHeight - hint.offsetHeight - 4))}px`;
  };

  const drawMark = (panel, row, column) => {
    if (!panel.cells) {
      return element("circle", { class: "cursor", r: 2.5, cx: placeX(panel, row, column),
        cy: placeY(panel, row, column) }, panel.svg);
    }
    const width = panel.width / panel.columns, height = panel.height / panel.rows.length;
    return element("rect", { class: "cursor", width, height,
      x: panel.x + column * width, y: panel.y + row * height }, panel.svg);
  };

  const point = (panel, row, column, byKey = false) => {
    if (cursor?.panel === panel && cursor.row === row && cursor.column === column) return;
    forget();
    if (row < 0 || column < 0) return;
    if (!panel.cells && !Number.isFinite(valueAt(panel, row, column))) return;
    cursor = { panel, row, column, mark: drawMark(panel, row, column), byKey };
    showHint(panel, row, column);
  };

  const panelUnder = (panels, x, y) => panels.find((panel) =>
    x >= panel.x && x <= panel.x + panel.width && y >= panel.y && y <= panel.y + panel.height);

  let pointer = { x: -1, y: -1 }; // where it was last
  const onPointer = (svg, panels, event) => {
    const lies = event.type === "pointermove" && event.clientX === pointer.x &&
      event.clientY === pointer.y;
    pointer = { x: event.clientX, y: event.clientY };
    if (lies) return;
    const place = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const panel = panelUnder(panels, place.x, place.y);
    if (!panel) return leave();
    const { row, column } = locate(panel, place.x, place.y);
    point(panel, row, column);
    if (event.type === "click" && panel.byCheckpoint) choose(column);
  };

  // The next row of lines that has a value here; the next one of cells.
  const stepRow = (panel, row, column, by) => {
    if (panel.cells) return clamp(row + by, 0, panel.rows.length - 1);
    const order = panel.rows.map((_, i) => i)
      .filter((i) => Number.isFinite(valueAt(panel, i, column)))
      .sort((a, b) => placeY(panel, a, column) - placeY(panel, b, column));
    return order[clamp(order.indexOf(row) + by, 0, order.length - 1)] ?? -1;
  };

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const onKey = (panels, event) => {
    if (event.key === "Escape") return forget();
    const inside = cursor && panels.includes(cursor.panel);
    const panel = inside ? cursor.panel : panels[0];
    if (event.key === "Enter" && inside && panel.byCheckpoint) return choose(cursor.column);
    if (event.key === "PageDown" || event.key === "PageUp") {
      const by = event.key === "PageDown" ? 1 : -1;
      const next = panels[clamp(panels.indexOf(panel) + by, 0, panels.length - 1)];
      const column = next.scaleAcross ? Number(slider.value)
        : clamp(inside ? cursor.column : 0, 0, next.columns - 1);
      point(next, stepRow(next, 0, column, 0), column, true);
    } else if (moves[event.key]) {
      const [across, down] = moves[event.key];
      const start = panel.scaleAcross ? Number(slider.value) : 0;
      const column = clamp(inside ? cursor.column + across : start, 0, panel.columns - 1);
      if (panel.scaleAcross) choose(column);
      point(panel, stepRow(panel, inside ? cursor.row : 0, column, inside ? down : 0), column, true);
    } else {
      return;
    }
    event.preventDefault();
  };

  // ---- points ------------------------------------------------------------------------------
  // Labels as svg_scatter.c places them: the first place around the point where nothing is.
  const dot = 1.7, line = 6;
  const sides = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]];
  const overlap = (a, b) => Math.abs(a.x - b.x) < (a.width + b.width) / 2 &&
    Math.abs(a.y - b.y) < (a.height + b.height) / 2;
  const within = (panel, { x, y, width, height }) =>
    x - width / 2 > panel.x && x + width / 2 < panel.x + panel.width &&
    y - height / 2 > panel.y && y + height / 2 < panel.y + panel.height;
  const freePlace = (panel, { x, y }, width, taken) => sides.map(([right, down]) =>
    ({ x: x + right * (dot + 1 + width / 2), y: y + down * (dot + line / 2), width, height: line }))
    .find((place) => within(panel, place) && !taken.some((other) => overlap(place, other)));

  const show = (element, attributes) => {
    if (!attributes) return element.setAttribute("display", "none");
    element.removeAttribute("display");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  };
  const endY = (panel, value) => {
    const y = lineY(panel, value);
    return Number.isNaN(y) ? panel.y + panel.height : clamp(y, panel.y, panel.y + panel.height);
  };
  const showInterval = (panel, path, row, column, x) => {
    const ends = "low" in panel ? [panel.low, panel.high].map((m) => inMatrix(m, row, column)) : [NaN];
    show(path, ends.every(Number.isFinite) &&
      { d: `M${x} ${endY(panel, ends[0])}V${endY(panel, ends[1])}` });
  };
  const showPoints = (panel, column) => {
    const group = document.getElementById(panel.id);
    const units = group.querySelectorAll(".unit"), labels = group.querySelectorAll(".points text");
    const places = panel.rows.map((_, row) => ({ x: placeX(panel, row, column),
      y: placeY(panel, row, column), width: 2 * dot, height: 2 * dot }));
    const there = places.map(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
    const taken = places.filter((_, row) => there[row]);
    places.forEach((place, row) => {
      show(units[row], there[row] && {});
      if (there[row]) {
        showInterval(panel, units[row].firstChild, row, column, place.x);
        show(units[row].lastChild, { d: `M${place.x} ${place.y}h.01` });
      }
      const width = 0.64 * line * labels[row].textContent.length;
      const label = there[row] && freePlace(panel, place, width, taken);
      if (label) taken.push(label);
      show(labels[row], label && { x: label.x, y: label.y + 0.36 * line });
    });
    const name = [...data.checkpoints[column]];
    group.querySelector(".shown").textContent =
      name.slice(0, 30).join("") + (name.length > 30 ? "\u2026" : "");
  };

  // ---- the checkpoint ----------------------------------------------------------------------
  const showNow = (panel, checkpoint) => {
    if (panel.scaleAcross) return showPoints(panel, checkpoint);
    const half = panel.cells ? panel.width / panel.columns / 2 : 0;
    const x = columnX(panel, checkpoint);
    panel.now ??= element("rect", { class: "now", y: panel.y, height: panel.height }, panel.svg);
    panel.now.setAttribute("x", x - half);
    panel.now.setAttribute("width", Math.max(2 * half, 0.01));
  };

  const choose = (checkpoint) => {
    if (cursor?.panel.scaleAcross) forget();
    slider.value = checkpoint;
    slider.setAttribute("aria-valuetext", data.checkpoints[checkpoint]);
    document.getElementById("checkpoint-name").textContent = data.checkpoints[checkpoint];
    for (const panel of data.panels) if (panel.byCheckpoint) showNow(panel, checkpoint);
    for (const cell of document.querySelectorAll("td[data-panel]")) {
      const value = valueAt(data.panels[cell.dataset.panel], Number(cell.dataset.row), checkpoint);
      cell.textContent = written(value);
      cell.dataset.value = value;
    }
  };

  // ---- tables ------------------------------------------------------------------------------
  // By number, what is missing last; by text where there are no numbers.
  const compare = (a, b, column, sign) => {
    const [x, y] = [a, b].map((row) => Number(row.cells[column].dataset.value ?? NaN));
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    if (!Number.isNaN(x)) return sign * (x - y);
    return sign * a.cells[column].textContent.localeCompare(b.cells[column].textContent);
  };
  const sortBy = (heading) => {
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    const body = heading.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(a, b, heading.cellIndex, ascending ? 1 : -1));
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...rows);
  };

  // ---- beginning ---------------------------------------------------------------------------
  for (const panel of data.panels) panel.svg = document.getElementById(panel.id).closest("svg");
  for (const svg of document.querySelectorAll("svg.figure")) {
    const panels = data.panels.filter((panel) => panel.svg === svg);
    svg.tabIndex = 0;
    for (const type of ["pointermove", "click"]) {
      svg.addEventListener(type, (event) => onPointer(svg, panels, event));
    }
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("blur", forget);
    svg.addEventListener("keydown", (event) => onKey(panels, event));
  }
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }
  const theme = document.getElementById("theme");
  const setTheme = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    theme.setAttribute("aria-pressed", String(dark));
  };
  theme.setAttribute("aria-pressed", String(matchMedia("(prefers-color-scheme: dark)").matches));
  theme.addEventListener("click", () => setTheme(theme.getAttribute("aria-pressed") !== "true"));
  slider.max = data.checkpoints.length - 1;
  slider.addEventListener("input", () => choose(Number(slider.value)));
  for (const shown of document.querySelectorAll(".controls, .note")) shown.hidden = false;
  choose(data.checkpoints.length - 1);
})();
