// What starts when the page is there: the stages, and the buttons that lead to them or copy.

const contents = JSON.parse(document.getElementById("contents").textContent);
const stages = new Map();

for (const root of document.querySelectorAll(".stage")) {
  const number = Number(root.dataset.chapter);
  stages.set(number, new Stage(contents.chapters[number], root));
}

/** Lead from a cell of a matrix, or a finding, to the picture of its chapter. */
function lead(from) {
  const section = from.closest("[data-chapter-of]");
  const number = Number(section?.dataset.chapterOf);
  const stage = stages.get(number);
  if (!stage) return;
  if (from.dataset.finding !== undefined) {
    const { step, phase, name, verdict } = contents.chapters[number].report.findings[from.dataset.finding];
    stage.find(step, phase, name, verdict.index);
  } else {
    stage.findBlock(parseInt(from.dataset.step, 10), from.dataset.block);
  }
  stage.root.scrollIntoView({ block: "start" });
  stage.parts.range.focus({ preventScroll: true });
}

const LEADS = "[data-finding], [data-step][data-block]";
document.addEventListener("click", (event) => {
  const from = event.target.closest(LEADS);
  if (from) lead(from);
});
document.addEventListener("keydown", (event) => {
  const from = event.target.closest(LEADS);
  if (!from || from.matches("button, a")) return;
  if (event.key === "Enter" || event.key === " ") lead(from);
  else if (event.key.startsWith("Arrow")) walk(from, event.key);
  else return;
  event.preventDefault();
});

/** Walk from a cell of a matrix to the one beside it. */
function walk(from, key) {
  const cells = (row) => [...(row?.querySelectorAll("td[data-step]") ?? [])];
  const row = from.closest("tr");
  const place = cells(row).indexOf(from);
  const to = {
    ArrowLeft: () => cells(row)[place - 1], ArrowRight: () => cells(row)[place + 1],
    ArrowUp: () => cells(row.previousElementSibling)[place], ArrowDown: () => cells(row.nextElementSibling)[place],
  }[key]();
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

/** Copy what stands beside a button; where that is forbidden, select it. */
async function copy(button) {
  const source = document.getElementById(button.dataset.copies);
  let done = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

for (const button of document.querySelectorAll("[data-copies]")) {
  button.addEventListener("click", () => copy(button));
}

// Written out when asked for: it may be megabytes, and the page has to be there at once.
const numbers = document.getElementById("numbers");
numbers.addEventListener("click", () => {
  const text = JSON.stringify(contents, null, 2);
  numbers.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
});
