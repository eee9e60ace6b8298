// The picture of one lock-step with its controls: which step, which stage of it, coloured by what.

const PAUSE = 700; // milliseconds a stage

class Stage {
  constructor(chapter, root) {
    this.story = new Story(chapter);
    this.root = root;
    const find = (selector) => root.querySelector(selector);
    this.parts = {
      drawing: find(".drawing"), svg: find(".drawing svg"), range: find("input[type=range]"),
      told: find(".told"), play: find("[data-do=play]"), legend: find(".legend"), picture: find("figure"),
    };
    this.view = { frame: 0, stage: 0, mode: "activation", sample: 0 };
    this.kept = null; // the key of what was chosen, and of what is pointed at
    this.pointed = null;
    this.timer = null;
    this.details = new Details(this.story, find(".details"));
    this.parts.range.max = this.story.frames.length * this.story.stages.length - 1;
    this.listen();
    this.draw();
    new ResizeObserver(() => this.draw()).observe(this.parts.drawing);
  }

  // ------------------------------------------------------------------ drawing

  draw() {
    const { drawing, svg: picture } = this.parts;
    const [width, height] = [drawing.clientWidth, drawing.clientHeight];
    const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const key = [width, height, scale].join();
    if (width === 0 || key === this.drawn) return;
    this.drawn = key;
    const focused = picture.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const small = this.root.dataset.small === "yes";
    this.network = new (small ? Network : Boxes)(this.story, width, height, scale);
    this.painter = new (small ? Painter : BoxPainter)(this.story, this.network);
    const size = this.network.size;
    for (const [name, value] of Object.entries({ width: size.width, height: size.height, viewBox: `0 0 ${size.width} ${size.height}` })) {
      picture.setAttribute(name, value);
    }
    picture.replaceChildren(this.network.root);
    for (const item of this.network.items.values()) item.element.setAttribute("tabindex", "-1");
    this.rove(this.network.items.get(focused ?? this.kept) ?? this.network.items.values().next().value);
    if (focused) this.network.items.get(focused)?.element.focus({ preventScroll: true });
    if (this.kept === null) this.begin();
    else this.paint();
  }

  paint() {
    const { story, view, parts } = this;
    const largest = this.painter.paint(view);
    const chosen = this.item();
    for (const [key, item] of this.network.items) {
      item.element.classList.toggle("chosen", key === this.kept);
      replaced(item.element, "aria-pressed", String(key === this.kept));
    }
    const frame = story.frames[view.frame];
    const text = `step ${frame.step} of ${story.last} · ${story.stages[view.stage].text}`;
    parts.told.textContent = text;
    parts.range.value = view.frame * story.stages.length + view.stage;
    parts.range.setAttribute("aria-valuetext", text);
    this.root.dataset.mode = view.mode;
    this.paintLegend(largest);
    this.details.show(chosen, view);
  }

  paintLegend(largest) {
    const { legend } = this.parts;
    const ends = legend.querySelectorAll(".end");
    ends[0].textContent = brief(-largest.unit);
    ends[1].textContent = brief(largest.unit);
    const weights = legend.querySelector(".weights");
    if (weights) weights.textContent = `thickest line ${brief(largest.weight)}; dashed: below 0`;
  }

  /** Bring what a stage is about into sight, within the picture alone. */
  reveal() {
    const item = this.network.items.get(`block:${this.story.stages[this.view.stage].block?.name}`);
    this.bring(item);
  }

  bring(item) {
    if (!item) return;
    const { drawing } = this.parts;
    const { clientWidth: wide, clientHeight: high } = drawing;
    const near = (place, from, length) => place > from + 0.1 * length && place < from + 0.9 * length;
    if (near(item.x, drawing.scrollLeft, wide) && near(item.y, drawing.scrollTop, high)) return;
    drawing.scrollTo(item.x - wide / 2, item.y - high / 2);
  }

  item() {
    const { items } = this.network;
    return items.get(this.pointed) ?? items.get(this.kept) ?? items.values().next().value;
  }

  // ------------------------------------------------------------------ moving

  /** Begin where something is first wrong; else with the whole first step, which is played on demand. */
  begin() {
    const { first, stages } = this.story;
    if (first) return this.find(first.step, first.phase, first.name, first.verdict.index);
    this.view.stage = stages.length - 1;
    this.moved = false;
    const items = [...this.network.items.values()];
    const item = items.find((one) => one.line) ?? items.find((one) => one.block.weights.length);
    return this.choose((item ?? items[0]).key);
  }

  go(frame, stage) {
    this.moved = true;
    Object.assign(this.view, { frame, stage });
    this.paint();
    this.reveal();
  }

  move(by) {
    const { story, view } = this;
    const last = story.frames.length * story.stages.length - 1;
    const now = view.frame * story.stages.length + view.stage;
    const next = Math.min(last, Math.max(0, now + by));
    this.go(Math.floor(next / story.stages.length), next % story.stages.length);
    return next < last;
  }

  moveFrame(by) {
    const frame = Math.min(this.story.frames.length - 1, Math.max(0, this.view.frame + by));
    this.go(frame, this.view.stage);
  }

  /** Play from here; from the beginning, where nothing has been moved yet or nothing is left. */
  play(on = this.timer === null) {
    clearInterval(this.timer);
    const { frame, stage } = this.view;
    const atEnd = frame === this.story.frames.length - 1 && stage === this.story.stages.length - 1;
    if (on && (!this.moved || atEnd)) this.go(0, 0);
    this.timer = on ? setInterval(() => this.move(1) || this.play(false), PAUSE) : null;
    this.parts.play.textContent = on ? "Pause" : "Play";
  }

  choose(key) {
    this.kept = key;
    this.pointed = null;
    const item = this.network.items.get(key);
    this.rove(item);
    this.bring(item);
    this.paint();
  }

  /** Go to a quantity of a step: when it is known, and with what shows it chosen. */
  find(step, phase, name, index) {
    const { story } = this;
    const key = story.keyOf(phase, name, index);
    const block = story.owner(phase, name);
    this.play(false);
    this.go(story.nearest(step), story.known(phase, name));
    const about = this.network.items.has(key) ? key : `block:${(block ?? story.loss).name}`;
    this.choose(about);
  }

  /** Go to a block of a step: where the first of its numbers differs, or else through it. */
  findBlock(step, name) {
    const { story } = this;
    const frame = story.nearest(step);
    const block = story.blocks.find((one) => one.name === name);
    if (!block) return;
    const rows = story.rowsOfBlock(story.frames[frame], block);
    const wrong = rows.filter((row) => !story.quantity(story.frames[frame], row.phase, row.name).agrees);
    const stages = (wrong.length ? wrong : rows).map((row) => story.known(row.phase, row.name));
    const backward = story.stages.findIndex((one) => one.kind === "backward" && one.block === block);
    this.play(false);
    this.go(frame, wrong.length ? Math.min(...stages) : Math.max(0, backward));
    this.choose(`block:${name}`);
  }

  rove(item) {
    if (!item) return;
    this.roved?.setAttribute("tabindex", "-1");
    item.element.setAttribute("tabindex", "0");
    this.roved = item.element;
  }

  // ------------------------------------------------------------------ listening

  listen() {
    const { range, svg: picture } = this.parts;
    const keyOf = (event) => event.target.closest("[data-key]")?.dataset.key ?? null;
    range.addEventListener("input", () => {
      const count = this.story.stages.length;
      this.go(Math.floor(range.value / count), range.value % count);
    });
    const acts = {
      play: () => this.play(), next: () => this.move(1), previous: () => this.move(-1),
      "next-step": () => this.moveFrame(1), "previous-step": () => this.moveFrame(-1),
    };
    for (const button of this.root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", acts[button.dataset.do]);
    }
    this.root.addEventListener("change", (event) => {
      const { name, value } = event.target;
      if (name?.startsWith("mode")) this.view.mode = value;
      else if (name?.startsWith("sample")) this.view.sample = Number(value);
      else return;
      this.paint();
    });
    const point = (key) => {
      if (key === this.pointed) return;
      this.pointed = key;
      this.details.show(this.item(), this.view);
    };
    picture.addEventListener("pointerover", (event) => event.pointerType === "mouse" && point(keyOf(event)));
    picture.addEventListener("pointerleave", () => point(null));
    picture.addEventListener("focusin", (event) => {
      const item = this.network.items.get(keyOf(event));
      this.rove(item);
      point(keyOf(event));
    });
    picture.addEventListener("focusout", () => point(null));
    picture.addEventListener("click", (event) => keyOf(event) !== null && this.choose(keyOf(event)));
    this.parts.picture.addEventListener("keydown", (event) => this.press(event, keyOf(event)));
  }

  press(event, key) {
    const native = event.target.matches("input, button, a, .details, .details *");
    if (event.key === " " && !native) this.play();
    else if (key !== null && event.key === "Enter") this.choose(key);
    else if (key !== null && event.key.startsWith("Arrow")) {
      const items = [...this.network.items.values()];
      const next = neighbour(items, this.network.items.get(key), event.key);
      if (next) {
        this.rove(next);
        next.element.focus({ preventScroll: true });
        this.bring(next);
      }
    } else return;
    event.preventDefault();
  }
}
