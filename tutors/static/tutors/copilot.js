// @ts-check
/** The copilot page: the conversation, the drafts, and learners' questions. */
import { Chat } from "../conversations/chat.js";
import { Desk } from "./desk.js";
import { Drafts } from "./drafts.js";
import { Learners } from "./learners.js";

const { courseId = "", lessonUrl = "" } = byId("chat").dataset;
const api = `/api/tutors/courses/${encodeURIComponent(courseId)}`;
/** @type {object} what goes along with the question that is being asked */
let details = {};

const chat = new Chat({
  kind: "tutors.copilot",
  url: `${api}/copilot`,
  name: `tutors:draft:${courseId}`,
  body: () => details,
  steps: { searching: "Looking at the course" },
  onEnd: () => drafts.load(),
});
const desk = new Desk();
const drafts = new Drafts({ api, lessonUrl, client: chat.client, onDecided: () => learners.load() });
const learners = new Learners({
  api,
  lessonUrl,
  onReply: (question) => ask(`Draft a reply to this question: ${question.text}`, { questionId: question.questionId }),
});

const quizForm = /** @type {HTMLFormElement | null} */ (document.getElementById("quiz-form"));
quizForm?.addEventListener("submit", (event) => {
  event.preventDefault();
  const { value, selectedOptions } = /** @type {HTMLSelectElement} */ (quizForm.elements.namedItem("lesson"));
  ask(`Propose a quiz on “${selectedOptions[0]?.text}”`, { intent: "quiz", lessonId: value });
});

// Disabled until now, because the form would have submitted itself.
quizForm?.querySelector("button")?.removeAttribute("disabled");

/** @param {string} question @param {object} more */
function ask(question, more) {
  desk.show("chat");
  if (chat.isBusy) return chat.composer.showError("An answer is still being written here. Wait for it or stop it.");
  details = more;
  chat.ask(question); // reads the details synchronously
  details = {};
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
