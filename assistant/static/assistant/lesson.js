// @ts-check
/** The assistant on a lesson's page: summarises the lesson, or explains the selected text. */
import { leaveErrand } from "./errand.js";

const MAX_SELECTION_CHARS = 1_500;
const tools = /** @type {HTMLElement} */ (document.getElementById("lesson-tools"));
const lesson = /** @type {HTMLElement} */ (document.getElementById("lesson"));
const floating = /** @type {HTMLButtonElement} */ (document.getElementById("explain-selection"));
const { lessonId = "", chatUrl = "" } = tools.dataset;

for (const button of tools.querySelectorAll("button[data-question]")) {
  button.addEventListener("click", () => ask(/** @type {HTMLElement} */ (button).dataset.question ?? ""));
}
document.body.append(floating); // positioned relative to the page, not to its column
floating.addEventListener("click", () => ask(`Explain this:\n\n“${selectedText()}”`));
// Otherwise pressing the button would clear the selection before the click.
floating.addEventListener("pointerdown", (event) => event.preventDefault());
document.addEventListener("selectionchange", placeButton);
addEventListener("resize", placeButton);

/** @param {string} question */
function ask(question) {
  leaveErrand(lessonId, question);
  location.assign(chatUrl);
}

function placeButton() {
  const selection = getSelection();
  const isHere = selection?.rangeCount && lesson.contains(selection.getRangeAt(0).commonAncestorContainer);
  floating.hidden = !isHere || selectedText().length < 2;
  if (floating.hidden || !selection) return;
  const area = selection.getRangeAt(0).getBoundingClientRect();
  const left = Math.min(area.left + scrollX, document.documentElement.clientWidth - floating.offsetWidth - 16);
  floating.style.left = `${Math.max(16, left)}px`;
  floating.style.top = `${area.bottom + scrollY + 8}px`;
}

function selectedText() {
  return (getSelection()?.toString() ?? "").trim().slice(0, MAX_SELECTION_CHARS);
}
