// @ts-check
/** A "Copy" button on every block of code. */

const COPIED_FOR = 2_000;

/** @param {Element} container */
export function addCopyButtons(container) {
  // Browsers provide the clipboard only on https and localhost.
  if (!navigator.clipboard) return;
  for (const code of container.querySelectorAll("pre")) {
    if (code.parentElement?.className !== "code") wrap(code);
  }
}

/** @param {HTMLElement} code */
function wrap(code) {
  const frame = document.createElement("div");
  frame.className = "code";
  code.replaceWith(frame);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy code");
  button.addEventListener("click", () => copy(button, code.textContent ?? ""));
  frame.append(code, button);
}

/** @param {HTMLButtonElement} button @param {string} text */
async function copy(button, text) {
  await navigator.clipboard.writeText(text.replace(/\n$/, ""));
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), COPIED_FOR);
}
