"""The public pages."""

from datetime import date
from decimal import Decimal

from landing import rows
from landing.models import CourseOffer, FaqEntry, SitePage
from tests.landing.conftest import Visitor


def test_landing_page_lists_published_offers_and_faq(visitor, sql_course):
    page = visitor.browser.get("/").content.decode()
    assert sql_course.title in page and "€149" in page and "2 March 2099" in page and "Can I get a refund?" in page
    assert "landing/widget.js" in page
    CourseOffer.objects.update(is_published=False)
    FaqEntry.objects.update(is_published=False)
    page = visitor.browser.get("/").content.decode()
    assert sql_course.title not in page and "refund" not in page


def test_signed_in_user_is_redirected_to_their_courses(visitor, learner):
    visitor.browser.force_login(learner)
    assert visitor.browser.get("/")["Location"] == "/courses/"


def test_pages_quote_the_offer_and_escape_what_staff_wrote(visitor):
    SitePage.objects.update(body="<script>alert(1)</script> SQL costs {{price:sql-for-analysts}}.")
    page = visitor.browser.get("/pages/students/").content.decode()
    assert "SQL costs €149." in page and "<script>alert" not in page
    SitePage.objects.update(is_published=False)
    assert Visitor().browser.get("/pages/students/").status_code == 404


def test_offers_in_words(site):
    site.price, site.currency, site.starts_on, site.seats = 0, "USD", None, None
    assert set(rows.quotable([site]).values()) == {"free of charge", "any time", "no limit"}
    site.price, site.starts_on = Decimal(1234), date(2020, 1, 1)
    assert rows.price(site) == "$1,234" and "not fixed" in rows.start(site)


def test_large_site_is_reduced_to_facts_that_fit_the_question(site):
    FaqEntry.objects.bulk_create(
        FaqEntry(question=f"Question {n}", answer="Nothing of interest. " * 20, position=n) for n in range(100)
    )
    FaqEntry.objects.create(question="Parking", answer="Bicycles are parked in the yard.", position=500)
    titles = [fact.title for fact in rows.facts_for("Where can I park my bicycle?").entries]
    assert "Parking" in titles and 10 < len(titles) < 60
    assert rows.facts_for("??? ' & | ! :*").entries
