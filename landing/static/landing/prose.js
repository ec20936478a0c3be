// @ts-check
/** Draws the Markdown of the site's texts; without scripts it can be read as it is written. */
import { createParser, toFragment } from "../site/markdown.js";

const parser = createParser();
for (const part of document.querySelectorAll("[data-markdown]")) {
  part.replaceChildren(toFragment(/** @type {string} */ (parser.parse(part.textContent ?? ""))));
  part.removeAttribute("data-markdown");
}
