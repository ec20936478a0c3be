// @ts-check
/** Citations: turns `[1]` in an answer into a link to the lesson section, and lists the sources. */
import { createParser, slugify } from "../site/markdown.js";

/** @typedef {import("../jobs/watch.js").Citation} Citation */

/** Parses `[1]` as a citation mark, except in code and in link texts. */
export const answerParser = createParser({
  extensions: [
    {
      name: "citation",
      level: "inline",
      start: (source) => source.match(/ ?\[\d/)?.index,
      tokenizer(source) {
        const match = /^( ?)\[(\d{1,3})\](?!\()/.exec(source);
        return match ? { type: "citation", raw: match[0], mark: `${match[1]}${match[2]}` } : undefined;
      },
      // Only this creates <cite>, because HTML in the text is shown as text. CSS hides the space before the mark.
      renderer: ({ mark }) => `<cite>${mark}</cite>`,
    },
  ],
});

/**
 * Turns the marks of a finished answer into links. A mark without a source becomes plain text again.
 * @param {Element} body @param {Citation[]} citations @param {(citation: Citation) => string} address
 */
export function linkCitations(body, citations, address) {
  for (const mark of body.querySelectorAll("cite")) {
    const text = mark.textContent ?? "";
    const citation = citations.find(({ n }) => n === Number(text));
    mark.replaceWith(citation ? numberLink(citation, address(citation)) : text.replace(/\d+/, "[$&]"));
  }
}

/** @param {Element} list @param {Citation[]} citations @param {(citation: Citation) => string} address */
export function listSources(list, citations, address) {
  list.replaceChildren(...citations.map((citation) => sourceItem(citation, address(citation))));
}

/** Returns the URL of a citation: the lesson, at the section of the last part of its heading path.
 * @param {string} lessonAddress the address of lesson 0 @param {Citation} citation */
export function citationAddress(lessonAddress, { lessonId, heading }) {
  const section = heading?.split(" > ").at(-1);
  const page = lessonAddress.replace("/0/", `/${encodeURIComponent(lessonId)}/`);
  return section ? `${page}#${slugify(section)}` : page;
}

/** @param {Citation} citation @param {string} href */
function numberLink(citation, href) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = String(citation.n);
  link.title = nameOf(citation);
  link.dataset.testid = "citation";
  link.setAttribute("aria-label", `Source ${citation.n}: ${nameOf(citation)}`);
  const mark = document.createElement("sup");
  mark.className = "citation";
  mark.append(link);
  return mark;
}

/** @param {Citation} citation @param {string} href */
function sourceItem(citation, href) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = nameOf(citation);
  const item = document.createElement("li");
  item.value = citation.n;
  item.append(link);
  return item;
}

/** @param {Citation} citation */
function nameOf({ title, heading }) {
  const path = (heading ?? "").split(" > ").filter((part) => part && part !== title);
  return [title, ...path].join(" › ");
}
