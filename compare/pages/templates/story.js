// A step is told in stages, in the order of cause and effect.

const OF_SAMPLES = ["input", "activation", "activation gradient"];

class Story {
  constructor(chapter) {
    this.chapter = chapter;
    this.film = chapter.film;
    this.frames = chapter.film.frames;
    this.last = chapter.film.columns.at(-1).last; // steps may have been left out
    this.blocks = chapter.film.blocks;
    this.loss = this.blocks.at(-1);
    this.first = chapter.report.findings[0] ?? null;
    this.bound = this.first ? this.first.verdict.bound : 8;
    this.inputs = this.blocks.filter((block) => block.kind === "input");
    const inner = this.blocks.filter((block) => block.kind !== "input" && block !== this.loss);
    const passed = (kind, block) => ({ kind, block, text: `${kind} through ${block.name}` });
    this.stages = [
      { kind: "input", block: null, text: "the input" },
      ...inner.map((block) => passed("forward", block)),
      { kind: "loss", block: this.loss, text: this.loss.name },
      passed("backward", this.loss),
      ...inner.toReversed().map((block) => passed("backward", block)),
      { kind: "update", block: null, text: "the update" },
    ];
    this.owners = new Map();
    for (const block of this.blocks) {
      for (const name of [...block.nodes, ...block.weights]) this.owners.set(name, block);
    }
  }

  /** Name the block that a quantity belongs to; null if it is nobody's. */
  owner(phase, name) {
    if (phase === "loss") return this.loss;
    if (phase === "input") return this.inputs[this.inputNames().indexOf(name)] ?? this.loss; // y
    if (!this.owners.has(name)) {
      const fitting = this.blocks.filter(
        (one) => name.startsWith(one.name) && "/@[".includes(name.charAt(one.name.length)),
      );
      fitting.sort((one, other) => other.name.length - one.name.length);
      this.owners.set(name, fitting[0] ?? null);
    }
    return this.owners.get(name);
  }

  /** Name what is fed, in the order of the input blocks. */
  inputNames() {
    return Object.keys(this.frames[0].quantities.input ?? {}).filter((name) => /^x(\[|$)/.test(name));
  }

  /** Say at which stage of its step a quantity is known. */
  known(phase, name) {
    const stage = (kind, block) =>
      this.stages.findIndex((one) => one.kind === kind && (!block || one.block === block));
    const block = this.owner(phase, name);
    if (phase === "input" || phase === "before") return 0;
    if (phase === "loss") return stage("loss");
    if (phase === "activation" && block) return Math.max(0, stage("forward", block));
    if (phase === "activation gradient" && block) {
      const users = this.blocks.filter((one) => one.inputs.includes(block.name));
      if (name === block.nodes.at(-1) && users.length > 0) {
        return Math.max(...users.map((one) => stage("backward", one)));
      }
      return stage("backward", block);
    }
    if (phase === "weight gradient" && block) return stage("backward", block);
    return this.stages.length - 1;
  }

  /** Name what a tutorial calls a number. */
  symbol(name, index) {
    const symbols = this.chapter.symbols;
    const place = `[${index.join(",")}]`;
    const block = this.owners.get(name);
    const input = block && block.kind === "input" && this.inputs.length === 1;
    return own(symbols, name + place) ?? (input ? own(symbols, `input${place}`) : undefined);
  }

  /** Name a number in any case: as a tutorial does, or by its place in its layer. */
  called(name, index) {
    return this.symbol(name, index) ?? `${name.split("/").at(-1)}[${index.join(",")}]`;
  }

  /** Give the quantity that a unit or a weight shows in a phase. */
  quantity(frame, phase, name) {
    return own(own(frame.quantities, phase), name);
  }

  /** Give both numbers at an index, how far the array is off, and whether they differ. */
  look(frame, row) {
    const numbers = this.quantity(frame, row.phase, row.name);
    if (!numbers) return null;
    const worst = row.index.join() === numbers.index.join();
    const keras = at(numbers.all_of_keras, row.index) ?? (worst ? numbers.keras : undefined);
    const byHand = at(numbers.all_by_hand, row.index) ?? (worst ? numbers.by_hand : undefined);
    if (keras === undefined || byHand === undefined) return null;
    const wrong = !numbers.agrees && (worst || this.differ(numbers, real(keras), real(byHand)));
    return { keras, byHand, distance: numbers.distance, agrees: numbers.agrees, wrong };
  }

  // The noise of each number by itself isn't kept: that of the worst stands for all of its array.
  differ(numbers, keras, byHand) {
    if (Number.isFinite(keras) !== Number.isFinite(byHand)) return true;
    const noise = Math.abs(real(numbers.keras) - real(numbers.by_hand)) / real(numbers.distance);
    return Math.abs(keras - byHand) > this.bound * noise;
  }

  /** List what is known of a thing in a frame: its rows in the details, in causal order. */
  rows(frame, item, sample) {
    if (item.kind === "block") return this.rowsOfBlock(frame, item.block);
    const error = this.chapter.error;
    const rows = [];
    const add = (what, phase, name, index, symbol) => {
      if (this.quantity(frame, phase, name)) rows.push({ what, phase, name, index, sign: symbol });
    };
    if (item.kind === "weight") {
      const symbol = this.called(item.name, item.index);
      add("before", "before", item.name, item.index, symbol);
      add("gradient", "weight gradient", item.name, item.index, `∂${error}/∂${symbol}`);
      add("processed gradient", "processed gradient", item.name, item.index, "");
      for (const name of Object.keys(frame.quantities["optimizer slot"] ?? {})) {
        const slot = name.slice(item.name.length + 1);
        if (name === `${item.name}/${slot}`) add(slot, "optimizer slot", name, item.index, "");
      }
      add("after", "weight", item.name, item.index, `${symbol}⁺`);
      return rows;
    }
    if (item.block.kind === "input") {
      const name = this.inputNames()[this.inputs.indexOf(item.block)];
      add("input", "input", name, [sample, ...item.index], this.called(item.name, item.index));
    }
    const kindOf = (node) => (node === item.block.nodes.at(-1) ? "activation" : "pre-activation");
    for (const node of item.block.nodes) {
      add(kindOf(node), "activation", node, [sample, ...item.index], this.called(node, item.index));
    }
    for (const node of item.block.nodes.toReversed()) {
      const index = [sample, ...item.index];
      add("gradient", "activation gradient", node, index, `∂${error}/∂${this.called(node, item.index)}`);
    }
    return rows;
  }

  rowsOfBlock(frame, block) {
    return Object.entries(frame.quantities).flatMap(([phase, named]) =>
      Object.entries(named)
        .filter(([name]) => this.owner(phase, name) === block)
        .map(([name, numbers]) => {
          const index = numbers.index;
          const short = name.startsWith(`${block.name}/`) ? name.slice(block.name.length + 1) : name;
          const where = index.length ? `${short}\u200b[${index.join(",")}]` : short; // may break there
          return { what: phase, phase, name, index, sign: where };
        }),
    );
  }

  /** Say whether anything known of a thing by this stage differs; null where nothing is known. */
  wrong(frame, item, sample, stage) {
    const rows = this.rows(frame, item, sample).filter((row) => {
      const numbers = this.quantity(frame, row.phase, row.name);
      return numbers.distance !== null && this.known(row.phase, row.name) <= stage;
    });
    if (rows.length === 0) return null;
    return rows.some((row) => this.look(frame, row)?.wrong);
  }

  /** Name the thing that shows a quantity: a unit's key, a weight's, or a block's. */
  keyOf(phase, name, index) {
    const block = this.owner(phase, name);
    if (!block) return null;
    const weight = block.weights.find((one) => name === one || name.startsWith(`${one}/`));
    if (weight !== undefined) return `weight:${weight}[${index.join(",")}]`;
    if (OF_SAMPLES.includes(phase)) return `unit:${block.name}[${index.slice(1).join(",")}]`;
    return `block:${block.name}`;
  }

  /** Find the frame that is nearest to a step. */
  nearest(step) {
    const off = this.frames.map((frame) => Math.abs(frame.step - step));
    return off.indexOf(Math.min(...off));
  }
}
