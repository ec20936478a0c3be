"""A Markdown folder is ingested as a course; ingesting it again updates only what changed."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from courses.ingestion import BadFolder, ingest, save_embeddings, unembedded
from courses.models import Course, Passage
from jobs.models import AiJob
from tests.support import unique

ABOUT = 'title = "Knots"\nsummary = "Tie them."'


@pytest.fixture
def folder(tmp_path):
    """A folder with two lessons; the course is deleted after the test."""
    folder = tmp_path / unique("knots")
    folder.mkdir()
    (folder / "course.toml").write_text(ABOUT)
    (folder / "01-bowline.md").write_text("# Bowline\n\nA loop.\n\n## Steps\n\nOver and under.\n")
    (folder / "02-hitch.md").write_text("# Clove hitch\n\nTwo turns.\n")
    yield folder
    Course.objects.filter(slug=folder.name).delete()


def embed(course):
    """Embed passages as the background job does, without calling the upstream."""
    save_embeddings({pk: [0.1] * 1536 for pk, _ in unembedded(course.pk, 100)})
    assert unembedded(course.pk, 100) == []


def waiting(course):
    return [text for _, text in unembedded(course.pk, 100)]


def ids(course):
    return set(course.passages.values_list("pk", flat=True))


def test_folder_becomes_course_lessons_and_passages(folder):
    course = ingest(folder)
    assert (course.slug, course.title, course.summary) == (folder.name, "Knots", "Tie them.")
    assert list(course.lessons.values_list("position", "slug", "title")) == [
        (1, "01-bowline", "Bowline"),
        (2, "02-hitch", "Clove hitch"),
    ]
    assert list(course.passages.values_list("lesson__slug", "position", "heading", "text")) == [
        ("01-bowline", 0, "", "A loop."),
        ("01-bowline", 1, "Steps", "Over and under."),
        ("02-hitch", 0, "", "Two turns."),
    ]


def test_embedded_text_names_the_lesson_and_the_heading(folder):
    assert "Bowline > Steps\nOver and under." in waiting(ingest(folder))


def test_ingesting_an_unchanged_folder_changes_nothing(folder):
    course = ingest(folder)
    embed(course)
    before = ids(course)
    assert ids(ingest(folder)) == before
    assert waiting(course) == []


def test_only_the_changed_passage_is_embedded_again(folder):
    course = ingest(folder)
    embed(course)
    before = ids(course)
    (folder / "01-bowline.md").write_text("# Bowline\n\nA loop.\n\n## Steps\n\nUnder and over.\n")
    ingest(folder)
    assert waiting(course) == ["Bowline > Steps\nUnder and over."]
    assert len(before & ids(course)) == len(before) - 1


def test_renamed_lesson_is_embedded_again(folder):
    """The title is part of what is embedded."""
    course = ingest(folder)
    embed(course)
    (folder / "02-hitch.md").write_text("# Round turn\n\nTwo turns.\n")
    ingest(folder)
    assert waiting(course) == ["Round turn > \nTwo turns."]


def test_moved_passages_keep_their_embedding(folder):
    course = ingest(folder)
    embed(course)
    (folder / "00-ropes.md").write_text("# Ropes\n\nTwisted or braided.\n")
    (folder / "01-bowline.md").write_text("# Bowline\n\n## Steps\n\nOver and under.\n\n## Why\n\nIt holds.\n")
    ingest(folder)
    assert waiting(course) == ["Ropes > \nTwisted or braided.", "Bowline > Why\nIt holds."]
    order = course.passages.filter(lesson__slug="01-bowline").values_list("heading", flat=True)
    assert list(order) == ["Steps", "Why"]


def test_removed_lesson_is_deleted_with_its_passages(folder):
    course = ingest(folder)
    (folder / "01-bowline.md").unlink()
    ingest(folder)
    assert list(course.lessons.values_list("position", "slug")) == [(1, "02-hitch")]
    assert not Passage.objects.filter(course=course, heading="Steps").exists()


def test_repeated_passages_are_all_kept(folder):
    (folder / "02-hitch.md").write_text("# Hitch\n" + "\n## Try it\n\nTie one.\n" * 3)
    course = ingest(folder)
    embed(course)
    before = ids(course)
    assert ids(ingest(folder)) == before
    (folder / "02-hitch.md").write_text("# Hitch\n" + "\n## Try it\n\nTie one.\n" * 2)
    assert len(ids(ingest(folder))) == len(before) - 1
    assert waiting(course) == []


def test_embedding_of_a_deleted_passage_is_dropped(folder):
    course = ingest(folder)
    late = {pk: [0.2] * 1536 for pk, _ in unembedded(course.pk, 100)}
    (folder / "01-bowline.md").unlink()
    ingest(folder)
    save_embeddings(late)
    assert waiting(course) == []


def test_windows_line_endings_change_nothing(folder):
    course = ingest(folder)
    before = ids(course)
    file = folder / "01-bowline.md"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert ids(ingest(folder)) == before


def write(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


BAD_FOLDERS = {
    "no course.toml": lambda folder: (folder / "course.toml").unlink(),
    "no lessons": lambda folder: [file.unlink() for file in folder.glob("*.md")],
    "no TOML": write("course.toml", b"title: Knots"),
    "no UTF-8 about": write("course.toml", b'title = "\xff"'),
    "no title": write("course.toml", b'summary = "x"'),
    "no summary": write("course.toml", b'title = "x"'),
    "blank title": write("course.toml", b'title = ""\nsummary = ""'),
    "long title": write("course.toml", b'title = "%s"\nsummary = ""' % (b"t" * 201)),
    "no UTF-8 lesson": write("03-bad.md", b"# Bad\n\n\xff\xfe"),
    "NUL in a lesson": write("03-bad.md", b"# Bad\n\nzero \0 byte"),
    "long lesson title": write("03-bad.md", b"# " + b"t" * 201),
    "long heading": write("03-bad.md", b"# Bad\n\n## " + b"t" * 501 + b"\n\nText."),
    "lesson is a folder": lambda folder: (folder / "03-bad.md").mkdir(),
}


@pytest.mark.parametrize("spoil", BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_invalid_folder_is_reported_and_changes_nothing(folder, spoil):
    course = ingest(folder)
    before = ids(course)
    spoil(folder)
    with pytest.raises(BadFolder, match=folder.name):
        ingest(folder)
    assert ids(course) == before


@pytest.mark.parametrize("name", ["two words", "knots.old", "x" * 51, "knöts"])
def test_folder_name_has_to_be_a_valid_slug(folder, name):
    with pytest.raises(BadFolder, match="slug"):
        ingest(folder.rename(folder.with_name(name)))
    assert not Course.objects.filter(slug=name).exists()


def ingest_course(folder):
    output = StringIO()
    call_command("ingest_course", str(folder), stdout=output)
    return output.getvalue().strip()


def test_command_reports_the_changes_and_submits_one_job(folder):
    assert ingest_course(folder) == "Knots: 2 lessons, 3 passages, 3 of them to be embedded"
    job = AiJob.objects.get(kind="assistant.embedding")
    assert (job.queue, job.owner, job.payload) == (
        "background",
        None,
        {"courseId": Course.objects.get(slug=folder.name).pk},
    )


def test_command_submits_no_job_without_unembedded_passages(folder):
    embed(ingest(folder))
    assert ingest_course(folder) == "Knots: 2 lessons, 3 passages, 0 of them to be embedded"
    assert not AiJob.objects.exists()


def test_command_reports_an_invalid_folder_in_one_line(tmp_path):
    with pytest.raises(CommandError, match=r"course.toml cannot be read: No such file or directory$"):
        ingest_course(tmp_path / "nowhere")


def test_command_refuses_a_course_that_is_being_embedded(folder):
    ingest_course(folder)
    (folder / "02-hitch.md").write_text("# Clove hitch\n\nThree turns.\n")
    with pytest.raises(CommandError, match="already embedding"):
        ingest_course(folder)
    assert "Two turns." in Passage.objects.filter(course__slug=folder.name).values_list("text", flat=True)


@pytest.mark.parametrize("about", ['title = "a\\u0000"\nsummary = ""', 'title = "a"\nsummary = "\\u0000"'])
def test_title_or_summary_that_cannot_be_stored_is_refused(folder, about):
    (folder / "course.toml").write_text(about)
    with pytest.raises(BadFolder, match="cannot be stored"):
        ingest(folder)


def test_lesson_whose_name_is_no_text_is_refused(folder):
    with (folder / "03-\udcff.md").open("w") as file:
        file.write("# Hitch\n")
    with pytest.raises(BadFolder, match="cannot be imported"):
        ingest(folder)
    assert not Course.objects.filter(slug=folder.name).exists()


def test_about_that_is_nested_too_deeply_is_refused(folder):
    (folder / "course.toml").write_text(f"title = {'[' * 5000}")
    with pytest.raises(BadFolder):
        ingest(folder)
