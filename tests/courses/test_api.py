"""Courses and lessons over HTTP: permissions and response shapes."""

import pytest

from courses.models import Course, Enrollment, Lesson
from tests.support import error_of, unique


@pytest.fixture
def more_courses(learner):
    """Three more courses in which the learner is enrolled."""
    courses = [Course.objects.create(slug=unique("course"), title=f"Zoology {n}") for n in range(3)]
    Enrollment.objects.bulk_create([Enrollment(user=learner, course=course) for course in courses])
    yield courses
    Course.objects.filter(pk__in=[course.pk for course in courses]).delete()


def test_list_shows_the_courses_of_ones_enrolments(api, sql_course, bees_course):
    assert api.get("/api/courses").json() == {
        "results": [{"courseId": sql_course.slug, "title": sql_course.title, "summary": sql_course.summary}],
        "next": None,
    }


def test_staff_see_every_course(platform, staff, sql_course, bees_course):
    with platform.client(staff) as client:
        listed = {course["courseId"] for course in client.get("/api/courses").json()["results"]}
        assert {sql_course.slug, bees_course.slug} <= listed
        assert client.get(f"/api/courses/{bees_course.slug}").status_code == 200


def test_following_next_links_gives_every_course_once(api, sql_course, more_courses):
    url, pages = "/api/courses?limit=2", []
    while url:
        page = api.get(url).json()
        pages.append([course["courseId"] for course in page["results"]])
        url = page["next"]
    assert pages == [[sql_course.slug, more_courses[0].slug], [more_courses[1].slug, more_courses[2].slug]]


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "limit=0", f"limit={10**30}", "offset=x", "offset=-1", "limit=%00"]
)
def test_invalid_page_sizes_fall_back_to_the_default(api, sql_course, query):
    page = api.get(f"/api/courses?{query}")
    assert [course["courseId"] for course in page.json()["results"]] == [sql_course.slug]


def test_page_beyond_the_end_is_empty(api):
    assert api.get(f"/api/courses?offset={10**30}").json() == {"results": [], "next": None}


def test_course_comes_with_its_lessons_in_order(api, sql_course):
    course = api.get(f"/api/courses/{sql_course.slug}").json()
    assert set(course) == {"courseId", "title", "summary", "lessons"}
    titles = [lesson["title"] for lesson in course["lessons"]]
    assert titles == list(sql_course.lessons.order_by("slug").values_list("title", flat=True))
    assert all(set(lesson) == {"lessonId", "title"} for lesson in course["lessons"])


def test_lesson_comes_with_its_markdown(api, sql_course):
    entry = api.get(f"/api/courses/{sql_course.slug}").json()["lessons"][0]
    lesson = api.get(f"/api/lessons/{entry['lessonId']}").json()
    assert set(lesson) == {"lessonId", "courseId", "title", "body"}
    assert (lesson["lessonId"], lesson["courseId"], lesson["title"]) == (
        entry["lessonId"], sql_course.slug, entry["title"]
    )  # fmt: skip
    assert lesson["body"].startswith("# ")


def test_course_without_enrolment_is_403(api, bees_course):
    assert error_of(api.get(f"/api/courses/{bees_course.slug}"), 403)["code"] == "not_enrolled"


def test_lesson_without_enrolment_is_403(api, bees_course):
    lesson = bees_course.lessons.first()
    response = api.get(f"/api/lessons/{lesson.pk}")
    assert error_of(response, 403)["code"] == "not_enrolled"
    assert lesson.title not in response.text


WEIRD = [
    "nothing",
    "0",
    "-1",
    "1.5",
    "1e3",
    "9" * 18,
    "9" * 40,
    "%00",
    "a%00b",
    "%ff",
    "%C2%B2",
    "%D9%A1",
    "%ED%A0%80",
    "'--",
]


@pytest.mark.parametrize("course_id", WEIRD)
def test_unknown_course_is_404(api, course_id):
    assert error_of(api.get(f"/api/courses/{course_id}"), 404)["code"] == "not_found"


@pytest.mark.parametrize("lesson_id", WEIRD)
def test_unknown_lesson_is_404(api, lesson_id):
    assert error_of(api.get(f"/api/lessons/{lesson_id}"), 404)["code"] == "not_found"


@pytest.mark.parametrize("path", ["/api/courses", "/api/courses/sql-for-analysts", "/api/lessons/1"])
def test_anonymous_request_is_401(anonymous, sql_course, path):
    error_of(anonymous.get(path), 401)


def test_lesson_ids_are_opaque_strings(api, sql_course):
    lesson = Lesson.objects.filter(course=sql_course).first()
    assert api.get(f"/api/lessons/{lesson.pk}").json()["lessonId"] == str(lesson.pk)


def test_tutor_opens_only_courses_they_teach(platform, stranger, sql_course, bees_course):
    Enrollment.objects.filter(user=stranger).delete()
    bees_course.tutors.add(stranger)
    assert (bees_course.is_taught_by(stranger), sql_course.is_taught_by(stranger)) == (True, False)
    with platform.client(stranger) as tutor:
        assert [course["courseId"] for course in tutor.get("/api/courses").json()["results"]] == [bees_course.slug]
        assert tutor.get(f"/api/courses/{bees_course.slug}").status_code == 200
        error_of(tutor.get(f"/api/courses/{sql_course.slug}"), 403)
