// The panel beside the picture: all that is known of what is pointed at.

class Details {
  constructor(story, panel) {
    Object.assign(this, { story, panel });
  }

  show(item, view) {
    const frame = this.story.frames[view.frame];
    const rows = this.story.rows(frame, item, view.sample);
    this.panel.replaceChildren(
      this.heading(item),
      this.table(rows, frame, view),
      ...this.caution(frame),
      ...this.change(item, frame),
      ...this.explained(item, frame),
      ...this.formulas(item, rows),
    );
  }

  heading(item) {
    const place = item.kind === "block" ? item.block.name : `${item.name}[${item.index.join(",")}]`;
    const symbol = item.kind === "block" ? "" : this.story.symbol(item.name, item.index) ?? "";
    const heading = html("h4", {});
    if (symbol) heading.append(html("span", { class: "symbol" }, symbol), " ");
    heading.append(html("bdi", {}, html("code", {}, place)));
    const kinds = { unit: `a unit of ${item.block.name}`, weight: `a weight of ${item.block.name}`, block: "" };
    const about = [kinds[item.kind], item.block.kind].filter(Boolean).join(", ");
    return html("header", {}, heading, html("p", {}, about));
  }

  table(rows, frame, view) {
    if (rows.length === 0) return html("p", { class: "hint" }, "Nothing of it is compared.");
    const head = ["", "Keras", "by hand", "distance", "verdict"].map((text) => html("th", { scope: "col" }, text));
    head[3].setAttribute("title", "of the whole array, in units of its rounding noise");
    const body = html("tbody", {}, ...rows.map((row) => this.row(row, frame, view)));
    const table = html("table", {}, html("thead", {}, html("tr", {}, ...head)), body);
    return html("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Numbers" }, table);
  }

  row(row, frame, view) {
    const found = this.story.look(frame, row);
    const numbers = this.story.quantity(frame, row.phase, row.name);
    const later = this.story.known(row.phase, row.name) > view.stage;
    const what = html("th", { scope: "row" }, found?.wrong ? `✕ ${row.what}` : row.what);
    if (found?.wrong) what.classList.add("bad");
    if (row.sign) what.append(html("bdi", { class: "sign" }, row.sign));
    const attributes = { "data-quantity": `${row.phase} · ${row.name}[${row.index.join(",")}]` };
    if (later) Object.assign(attributes, { class: "later", title: "comes later in this step" });
    const verdict = numbers.distance === null ? "–" : found?.wrong ? "✕ differs" : numbers.agrees ? "✓ agrees" : "in an array that differs";
    const tone = numbers.distance === null ? "" : found?.wrong ? "bad" : numbers.agrees ? "good" : "";
    return html(
      "tr",
      attributes,
      what,
      html("td", { class: "number keras" }, found ? tenDigits(found.keras) : "not kept"),
      html("td", { class: "number hand" }, found ? tenDigits(found.byHand) : "not kept"),
      html("td", { class: "number" }, told(numbers.distance)),
      html("td", { class: tone }, verdict),
    );
  }

  // Why a number may differ and yet agree: without this, the table seems to contradict itself.
  caution(frame) {
    const numbers = Object.values(frame.quantities).flatMap((named) => Object.values(named));
    if (numbers.every((one) => one.agrees)) return [];
    const text =
      "Each rule is judged on Keras's own inputs. The numbers by hand are those of the whole step: after a difference they differ, too, where the rule agrees.";
    return [html("p", { class: "hint" }, text)];
  }

  change(item, frame) {
    if (item.kind !== "weight") return [];
    const find = (phase) => this.story.look(frame, { phase, name: item.name, index: item.index });
    const [before, after] = [find("before"), find("weight")];
    if (!before || !after) return [];
    const name = this.story.symbol(item.name, item.index) ?? "the weight";
    return [html("p", { class: "change" }, `${name}: ${tenDigits(before.keras)} → ${tenDigits(after.keras)}`)];
  }

  explained(item, frame) {
    if (item.kind === "block") return [];
    const text = own(frame.explained, `${item.name}[${item.index.join(",")}]`);
    if (!text) return [];
    return [
      html("h5", {}, "The chain rule, with these numbers"),
      html("pre", { tabindex: "0", "aria-label": "The chain rule" }, text),
    ];
  }

  formulas(item, rows) {
    const { block } = item;
    const shorts = this.story.blocks.flatMap((one) => one.weights.map((name) => name.split("/").at(-1)));
    const ofWeights = (key) => shorts.some((short) => key.includes(short));
    let told = Object.entries(block.formulas);
    if (item.kind === "unit") told = told.filter(([key]) => !ofWeights(key));
    if (item.kind === "weight") {
      const short = item.name.split("/").at(-1);
      told = told.filter(([key]) => key.includes(short) || key === "forward");
      told.push(...this.update(rows));
    }
    if (told.length === 0) return [];
    const list = html("dl", { class: "formulas" });
    for (const [key, formula] of told) list.append(html("dt", {}, key), html("dd", {}, formula));
    const where = block.location ? [html("p", { class: "where" }, "derived in ", html("code", {}, block.location))] : [];
    return [html("h5", {}, "The formulas"), list, ...where];
  }

  update(rows) {
    const { name, formulas } = this.story.film.optimizer;
    const slots = rows.filter((row) => row.phase === "optimizer slot").map((row) => row.what);
    const wanted = (key) => slots.includes(key) || (slots.length ? key.startsWith("weight") : key === "weight");
    return Object.entries(formulas)
      .filter(([key]) => wanted(key))
      .map(([key, formula]) => [`${name}, ${key}`, formula]);
  }
}
