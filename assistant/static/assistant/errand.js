// @ts-check
/**
 * Passes a question from the lesson page to the chat page. It uses sessionStorage instead of the URL, because otherwise
 * any site could ask questions in the learner's name with a link.
 */

const KEY = "assistant:errand";

/** @param {string} lessonId @param {string} question */
export function leaveErrand(lessonId, question) {
  sessionStorage.setItem(KEY, JSON.stringify({ lessonId, question }));
}

/** Returns and removes the question for this lesson. @param {string} lessonId @returns {string} "" for none */
export function takeErrand(lessonId) {
  try {
    const left = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    sessionStorage.removeItem(KEY);
    return lessonId && left.lessonId === lessonId ? left.question : "";
  } catch {
    return "";
  }
}
