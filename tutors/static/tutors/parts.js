// @ts-check
/** Helpers for elements, templates and counts. */

/** @typedef {import("../jobs/client.js").ApiError} ApiError */

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Clones a template's only element. @param {string} id */
export function clone(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {HTMLElement} */ (
    /** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild
  );
}

/** @param {Element} root @param {string} name */
export function part(root, name) {
  return /** @type {HTMLElement} */ (root.querySelector(`[data-part="${name}"]`));
}

/**
 * Creates an element. The tag alone determines its type, not the expected type at the call (NoInfer).
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {...(Node | string)} children @returns {HTMLElementTagNameMap[NoInfer<Tag>]}
 */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** @param {HTMLElement} where @param {unknown} [error] without it, hides the problem */
export function showProblem(where, error) {
  where.hidden = !error;
  where.textContent = error ? /** @type {ApiError} */ (error).message : "";
}

/** @param {HTMLElement} where @param {number} count */
export function showCount(where, count) {
  where.hidden = count === 0;
  where.textContent = String(count);
}

/** @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
