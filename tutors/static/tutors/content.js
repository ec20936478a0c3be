// @ts-check
/** Renders the content of a draft: a reply in Markdown, or a quiz question with its source. */
import { answerParser, citationAddress, linkCitations } from "../conversations/citations.js";
import { toFragment } from "../site/markdown.js";
import { element } from "./parts.js";

/** @typedef {import("../jobs/watch.js").Citation} Citation */
/** @typedef {{kind: "reply", asked: string, text: string, citations: Citation[]}} Reply */
/**
 * @typedef {{kind: "quiz_question", question: string, options: string[], right: number, explanation: string,
 *   passage: {lessonId: string, title: string, heading: string, quote: string}}} QuizQuestion
 */
/** @typedef {Reply | QuizQuestion} Content */

/** @param {Content} content */
export function labelOf(content) {
  return content.kind === "reply" ? "Reply" : "Quiz question";
}

/** @param {HTMLElement} view @param {Content} content @param {string} lessonUrl the address of lesson 0 */
export function drawContent(view, content, lessonUrl) {
  view.replaceChildren(...(content.kind === "reply" ? reply(content, lessonUrl) : quizQuestion(content, lessonUrl)));
}

/** @param {Reply} content @param {string} lessonUrl */
function reply({ asked, text, citations }, lessonUrl) {
  const body = element("div", { className: "prose" }, markdown(text));
  linkCitations(body, citations, (citation) => citationAddress(lessonUrl, citation));
  return [element("blockquote", { className: "asked", textContent: asked }), body];
}

/** @param {QuizQuestion} content @param {string} lessonUrl */
function quizQuestion({ question, options, right, explanation, passage }, lessonUrl) {
  const listed = options.map((option, index) => {
    const item = element("li", {}, inline(option));
    if (index === right) {
      item.className = "is-right";
      item.append(" ", element("span", { className: "right-mark", textContent: "right" }));
    }
    return item;
  });
  const href = citationAddress(lessonUrl, { n: 0, ...passage });
  const section = passage.heading.split(" > ").at(-1) || passage.title;
  return [
    element("div", { className: "prose quiz-question" }, inline(question)),
    element("ol", { className: "options" }, ...listed),
    element("div", { className: "meta" }, inline(explanation)),
    element(
      "p",
      { className: "rests-on" },
      "Rests on ",
      element("a", { href, textContent: section, title: passage.title }),
      ": ",
      element("q", {}, inline(passage.quote)),
    ),
  ];
}

/** @param {string} text */
function markdown(text) {
  return toFragment(/** @type {string} */ (answerParser.parse(text)));
}

/** @param {string} text */
function inline(text) {
  return toFragment(/** @type {string} */ (answerParser.parseInline(text)));
}
