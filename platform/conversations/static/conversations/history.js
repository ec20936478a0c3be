// @ts-check
/** The list of earlier conversations beside the chat. */

const LONGEST_TITLE = 80;

/** On a narrow screen the list is behind a button. */
export function wireHistory() {
  const list = document.getElementById("history");
  const button = document.getElementById("history-toggle");
  button?.addEventListener("click", () => {
    const isOpen = list?.classList.toggle("is-open") ?? false;
    button.setAttribute("aria-expanded", String(isOpen));
  });
}

/** Puts the conversation that has just begun on top. @param {string} href @param {string} question */
export function addToHistory(href, question) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = question.slice(0, LONGEST_TITLE);
  link.setAttribute("aria-current", "page");
  const item = document.createElement("li");
  item.append(link);
  document.querySelector("#history ul")?.prepend(item);
}
