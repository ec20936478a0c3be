// @ts-check
/**
 * Renders Markdown from lessons and answers safely. The text is untrusted: HTML is shown as text, links lead only to
 * http, https, mailto or this site, and images come only from this site.
 */
import { Marked, Tokenizer } from "../vendor/marked.mjs";
import DOMPurify from "../vendor/purify.mjs";

/** @typedef {import("../vendor/marked.mjs").Marked} Parser */
/** @typedef {import("../vendor/marked.mjs").MarkedExtension} Extension */

/** @type {import("../vendor/purify.mjs").Config & {RETURN_DOM_FRAGMENT: true}} */
const ALLOWED = {
  ALLOWED_TAGS: (
    "p br hr h1 h2 h3 h4 h5 h6 strong em del code pre blockquote ul ol li a img cite table thead tbody tr th td " +
    "sub sup kbd mark"
  ).split(" "),
  ALLOWED_ATTR: ["href", "title", "src", "alt", "start", "align", "class"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
const BARE_TAGS = /&lt;(\/?(?:br|sub|sup|kbd|mark)) ?\/?&gt;/gi;
const LINK_PROTOCOLS = new Set(["http:", "https:", "mailto:"]);
const INLINE_PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

const purifier = DOMPurify(/** @type {any} */ (window));
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") tameLink(/** @type {HTMLAnchorElement} */ (node));
  if (node.nodeName === "IMG") tamePicture(/** @type {HTMLImageElement} */ (node));
});

/** Creates a parser with our rules. @param {...Extension} extensions of marked */
export function createParser(...extensions) {
  return new Marked({ gfm: true, renderer: RENDERER, tokenizer: TOKENIZER }, ...extensions);
}

/** Sanitizes the HTML of a parser. @param {string} html @returns {DocumentFragment} */
export function toFragment(html) {
  const fragment = purifier.sanitize(html, ALLOWED);
  makeScrollable(fragment);
  return fragment;
}

/** Returns the anchor of a heading, for ids in lessons and for links to them. @param {string} heading */
export function slugify(heading) {
  const words = heading.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{M}\p{N}\s-]/gu, "");
  return words.trim().replace(/\s+/g, "-") || "section";
}

/** @type {NonNullable<Extension["renderer"]>} */
const RENDERER = {
  html: ({ text }) => escapeHtml(text.replace(/<!--[^]*?(-->|$)/g, "")).replace(BARE_TAGS, "<$1>"),
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
};

/**
 * Treats HTML as text: it does not start an HTML block.
 * @type {NonNullable<Extension["tokenizer"]>}
 */
const TOKENIZER = {
  html: () => undefined,
  tag(source) {
    const token = Tokenizer.prototype.tag.call(this, source);
    this.lexer.state.inRawBlock = false;
    return token;
  },
};

/** @param {string} text */
function escapeHtml(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** @param {HTMLAnchorElement} link */
function tameLink(link) {
  const target = parseUrl(link.getAttribute("href") ?? "");
  if (!target || !LINK_PROTOCOLS.has(target.protocol)) link.removeAttribute("href");
  link.setAttribute("rel", "noopener noreferrer nofollow");
}

/** @param {HTMLImageElement} picture */
function tamePicture(picture) {
  const source = picture.getAttribute("src") ?? "";
  if (INLINE_PICTURE.test(source) || parseUrl(source)?.origin === location.origin) return;
  picture.replaceWith(picture.alt);
}

/** @param {string} address */
function parseUrl(address) {
  try {
    return new URL(address, location.href);
  } catch {
    return null;
  }
}

/** Makes wide tables and code blocks scrollable, also by keyboard. @param {DocumentFragment} fragment */
function makeScrollable(fragment) {
  for (const code of fragment.querySelectorAll("pre")) code.tabIndex = 0;
  for (const table of fragment.querySelectorAll("table")) {
    const area = document.createElement("div");
    area.className = "table-scroll";
    area.tabIndex = 0;
    area.setAttribute("role", "group");
    area.setAttribute("aria-label", "Table");
    table.replaceWith(area);
    area.append(table);
  }
}
