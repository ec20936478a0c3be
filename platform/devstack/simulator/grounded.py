"""Composes answers from the data in the prompt: passages of a course, facts of the site, or figures about learners."""

import re

from .excerpts import Source, answer, cut, kind_of
from .prompt import Prompt
from .text import english_list

REFUSAL = "This is not in the course material."
# These match words of people, never those of the rules.
_TASK = re.compile(
    r"\b(?:solve|write|finish|complete) (?:it|this|that|my|the|me)\b|\bdo (?:it|this|that|my)\b|\bfor me\b|"
    r"\b(?:my|the|this|graded) (?:homework|assignment|exercise|quiz|exam)\b|"
    r"\b(?:give me|just) the (?:solution|answer|query|code)\b",
    re.IGNORECASE,
)
_TRIED = re.compile(r"\b(?:i (?:tried|wrote|have|got|think)|my attempt|here is (?:what|my))\b|```", re.IGNORECASE)
_WHOLE_LESSON = re.compile(r"\b(?:summar\w+|explain (?:this|the lesson)|main ideas|this about)\b", re.IGNORECASE)
_QUOTED = re.compile(r"[\u201c\"](.+)[\u201d\"]", re.DOTALL)
_PERSON = re.compile(r"\b(human|person|somebody|someone|contact|call me|talk to|speak to)\b", re.IGNORECASE)
# Words of visitors, and the words that facts use for the same thing.
_SYNONYMS = {
    r"how much|costs?|expensive|fees?": "price",
    r"when|begins?|dates?": "starts",
    r"places?|spots?|full|sold out|left": "free seats",
    r"(?:what|which) courses": "school offers courses",
    r"money back": "refund",
}
_CITED = re.compile(r"\s?\[(\d+)\]")


def compose(prompt: Prompt) -> str:
    """The answer to a prompt with passages, facts or figures."""
    if prompt.has("facts", "fact"):
        return _about_site(prompt)
    if not prompt.has("passages", "passage"):
        return _about_learners(prompt)
    passages, question = passages_of(prompt), prompt.question
    lesson, quoted = prompt.text("lesson"), _QUOTED.search(question)
    if lesson and _WHOLE_LESSON.search(question) and (not quoted or quoted[1] == lesson):
        return _outline(lesson, passages)
    is_draft = prompt.attribute("task", "kind") == "reply"
    if is_draft:
        question = question.rpartition(": ")[2]  # "Draft a reply to: ..."
    text = answer(question, passages, _asked_before(prompt))
    if not text:
        lessons = list(dict.fromkeys(f"*{passage.titles[0]}*" for passage in passages))[:4]
        text = f"{REFUSAL} What it does cover: {english_list(lessons)}." if lessons else REFUSAL
    if is_draft:
        opening = "Let me put it differently." if prompt.has("before") else "Good question!"
        return f"{opening}\n\n{text}\n\nTry it on one small example of your own, and tell me what you see."
    return _hints(text, passages) if passages and _wants_hints(prompt) else text


def passages_of(prompt: Prompt) -> list[Source]:
    """The passages of a prompt, ordered by number."""
    numbered = {int(one["n"]): one for one in prompt.all("passage") if one["n"].isdecimal()}
    return [Source(n, _titles(one["lesson"], one["heading"]), one.text) for n, one in sorted(numbered.items())]


def _titles(lesson: str, heading: str) -> tuple[str, ...]:
    return (lesson, *heading.split(" > ")) if heading else (lesson,)


def _asked_before(prompt: Prompt) -> str:
    return " ".join([turn.text for turn in prompt.turns if turn.asked][-2:])


def _outline(lesson: str, passages: list[Source]) -> str:
    """The first sentence of each section of the lesson."""
    lines = []
    for passage in (one for one in passages if one.titles[0] == lesson):
        sentences = [unit for unit in cut(passage.text) if kind_of(unit) == "sentence" and len(unit) > 30]
        lines += [f"- **{passage.titles[-1]}**: {sentence} [{passage.n}]" for sentence in sentences[:1]]
    return f"The lesson *{lesson}* in short:\n\n" + "\n".join(lines[:6])


def _wants_hints(prompt: Prompt) -> bool:
    """Whether the guidance level requires hints here instead of a solution."""
    said = [prompt.question, *(turn.text for turn in prompt.turns if turn.asked)]
    waits = {"hints-only": True, "hints-first": not any(_TRIED.search(text) for text in said)}
    return waits.get(prompt.attribute("guidance", "level"), False) and bool(_TASK.search(prompt.question))


def _hints(solution: str, passages: list[Source]) -> str:
    """Hints instead of the solution: sections to read and a first step."""
    cited = {int(n) for n in _CITED.findall(solution)}
    places = ([passage for passage in passages if passage.n in cited] or passages[:2])[:3]
    steps = [f"- Look again at *{place.titles[-1]}* [{place.n}]." for place in places]
    steps.append("- Write down a first version, however rough, and check it on one small example.")
    opening = "I will not do this one for you, but you can get there. Some hints:"
    return "\n\n".join([opening, "\n".join(steps), "What have you tried so far? Show me and we go on from there."])


def _about_site(prompt: Prompt) -> str:
    """A short answer with links to its facts; without a fitting fact, an offer to contact a person."""
    if _PERSON.search(prompt.question):
        return "Gladly. A person of the school answers you by e-mail: {{contact}}."
    facts = prompt.all("fact")
    sources = [Source(n, (fact["title"],), fact.text) for n, fact in enumerate(facts, start=1)]
    question, context = prompt.question, _asked_before(prompt)
    for asked, said in _SYNONYMS.items():
        question, context = (re.sub(rf"\b(?:{asked})\b", said, t, flags=re.IGNORECASE) for t in (question, context))
    # Earlier questions count only if the question alone has no answer.
    text = answer(question, sources) or (context and answer(question, sources, context))
    if not text:
        return f'The site does not say anything about "{prompt.question}", and I do not want to guess: {{{{contact}}}}.'
    cited = [facts[int(n) - 1] for n in dict.fromkeys(_CITED.findall(text))]
    links = ", ".join(f"[{fact['title']}]({fact['url']})" for fact in cited[:2])
    return f"{_CITED.sub('', text)}\n\nMore: {links}"


def _about_learners(prompt: Prompt) -> str:
    """A summary of the figures about learners."""
    themes = [(_titles(one["lesson"], one["heading"]), one.text) for one in prompt.all("theme")[:4]]
    if not themes:
        return "Learners have asked too little lately to say what they struggle with."
    first, total = themes[0][0][0], prompt.text("learners").partition("\n")[0]
    parts = [f"Most questions are about *{first}*. {total}"]
    parts.append("\n".join(f"- **{titles[-1]}** (*{titles[0]}*): {counts}" for titles, counts in themes))
    if unanswered := [f"“{one.text}”" for one in prompt.all("open")[:2]]:
        parts.append(f"Asked for, and still open: {english_list(unanswered)}.")
    return "\n\n".join([*parts, f"I would add an example to *{first}* and answer the open questions."])
