// @ts-check
/** Renders the Markdown of the site's texts; without scripts the source text is shown. */
import { createParser, toFragment } from "../site/markdown.js";

const parser = createParser();
for (const part of document.querySelectorAll("[data-markdown]")) {
  part.replaceChildren(toFragment(/** @type {string} */ (parser.parse(part.textContent ?? ""))));
  part.removeAttribute("data-markdown");
}
