// @ts-check
/** The list of earlier conversations beside the chat: open, rename, export, delete. */
import { request } from "../jobs/http.js";

const MAX_TITLE_CHARS = 80;
const OLDER = "Older ones"; // the label in the template, restored after an error
/** @type {() => void} */
let onOpenDeleted = () => {};

/** @param {() => void} openDeleted called when the open conversation was deleted */
export function wireHistory(openDeleted) {
  onOpenDeleted = openDeleted;
  const list = document.getElementById("history");
  const button = document.getElementById("history-toggle");
  // On a narrow screen a button opens the list.
  button?.addEventListener("click", () => {
    const isOpen = list?.classList.toggle("is-open") ?? false;
    button.setAttribute("aria-expanded", String(isOpen));
  });
  for (const item of document.querySelectorAll("#history li")) wire(/** @type {HTMLElement} */ (item));
  const older = document.getElementById("history-older");
  older?.addEventListener("click", () => showOlder(/** @type {HTMLButtonElement} */ (older)));
  document.addEventListener("click", closeOtherMenus);
  document.addEventListener("keydown", (event) => event.key === "Escape" && closeMenus());
}

/** Adds a new conversation at the top.
 * @param {string} id @param {string} href @param {string} question */
export function addToHistory(id, href, question) {
  const item = itemFor(id, href, question.slice(0, MAX_TITLE_CHARS));
  partsOf(item).link.setAttribute("aria-current", "page");
  document.querySelector("#history ul")?.prepend(item);
}

/** Appends older conversations and skips those already listed. @param {HTMLButtonElement} button */
async function showOlder(button) {
  const list = /** @type {HTMLElement} */ (document.querySelector("#history ul"));
  const shown = new Set([...list.children].map((item) => /** @type {HTMLElement} */ (item).dataset.conversationId));
  button.disabled = true;
  try {
    const page = await request("GET", `${button.dataset.listing}&offset=${shown.size}`);
    for (const { conversationId: id, title } of page.results) {
      if (!shown.has(id)) list.append(itemFor(id, `${location.pathname}?conversation=${id}`, title || "Untitled"));
    }
    button.textContent = OLDER;
    button.hidden = !page.next;
  } catch {
    button.textContent = "That did not work. Try again";
  }
  button.disabled = false;
}

/** @param {string} id @param {string} href @param {string} title */
function itemFor(id, href, title) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById("history-item-template"));
  const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  const item = /** @type {HTMLElement} */ (copy.firstElementChild);
  item.dataset.conversationId = id;
  const { link, exported } = partsOf(item);
  link.href = href;
  link.textContent = title;
  exported.href = `/api/conversations/${id}/export`;
  wire(item);
  return item;
}

/** @param {HTMLElement} item */
function wire(item) {
  const { rename, remove } = partsOf(item);
  rename.addEventListener("click", () => edit(item));
  remove.addEventListener("click", () => confirmDelete(item));
}

/** @param {HTMLElement} item */
function partsOf(item) {
  const part = (/** @type {string} */ name) => item.querySelector(`[data-part=${name}]`);
  return {
    link: /** @type {HTMLAnchorElement} */ (part("open")),
    rename: /** @type {HTMLButtonElement} */ (part("rename")),
    exported: /** @type {HTMLAnchorElement} */ (part("export")),
    remove: /** @type {HTMLButtonElement} */ (part("delete")),
    menu: /** @type {HTMLDetailsElement} */ (part("menu")),
  };
}

/** Edits the title in place: Enter or blur saves it, Escape cancels. @param {HTMLElement} item */
function edit(item) {
  const { link, menu } = partsOf(item);
  const field = Object.assign(document.createElement("input"), { value: link.textContent, maxLength: 120 });
  field.setAttribute("aria-label", "Title of the conversation");
  menu.open = false;
  link.hidden = menu.hidden = true;
  item.prepend(field);
  field.select();
  const close = async (/** @type {boolean} */ keep) => {
    if (field.hidden) return; // hiding the field also blurs it
    field.hidden = true;
    const title = field.value.trim();
    link.hidden = menu.hidden = false;
    field.remove();
    if (keep && title && title !== link.textContent) await rename(item, link, title);
  };
  field.addEventListener("blur", () => close(true));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") close(event.key === "Enter").then(() => link.focus());
  });
}

/** @param {HTMLElement} item @param {HTMLAnchorElement} link @param {string} title */
async function rename(item, link, title) {
  const { menu } = partsOf(item);
  const before = link.textContent;
  link.textContent = title;
  menu.hidden = true; // until the new title is saved, export and delete would use the old one
  try {
    await request("PATCH", `/api/conversations/${item.dataset.conversationId}`, { payload: JSON.stringify({ title }) });
  } catch {
    link.textContent = before;
  }
  menu.hidden = false;
}

/** @param {HTMLElement} item */
function confirmDelete(item) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("delete-dialog"));
  const { link, menu } = partsOf(item);
  menu.open = false;
  /** @type {HTMLElement} */ (dialog.querySelector("[data-part=name]")).textContent = link.textContent;
  const problem = /** @type {HTMLElement} */ (dialog.querySelector("[data-part=problem]"));
  problem.hidden = true;
  const sure = /** @type {HTMLButtonElement} */ (dialog.querySelector("[data-part=sure]"));
  sure.onclick = async () => {
    try {
      await request("DELETE", `/api/conversations/${item.dataset.conversationId}`);
      dialog.close();
      item.remove();
      if (link.getAttribute("aria-current")) onOpenDeleted();
    } catch {
      problem.hidden = false;
    }
  };
  dialog.showModal();
}

/** @param {MouseEvent} event */
function closeOtherMenus(event) {
  closeMenus(/** @type {Element} */ (event.target).closest("[data-part=menu]"));
}

/** @param {Element | null} [except] */
function closeMenus(except) {
  for (const menu of document.querySelectorAll("#history details[open]")) {
    if (menu !== except) /** @type {HTMLDetailsElement} */ (menu).open = false;
  }
}
