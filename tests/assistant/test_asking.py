"""A question from end to end: POST, worker, events, row."""

from tests.support import Platform, assert_no_holes, text_of


async def test_question_is_accepted_streamed_and_stored(platform: Platform, worker, learner, sql_course):
    async with platform.socket(learner) as socket:
        with platform.client(learner) as client:
            body = {"courseId": sql_course.slug, "question": "What does COALESCE return?"}
            response = client.post("/api/assistant/query", json=body)
        assert response.status_code == 202
        accepted = response.json()
        assert response.headers["Location"] == accepted["links"]["self"]
        events = await socket.until()
    assert_no_holes(events)
    assert [event["type"] for event in events][:3] == ["job.started", "job.progress", "job.progress"]
    final = events[-1]
    assert final["type"] == "job.completed"
    assert text_of(events) == final["answer"]
    with platform.client(learner) as client:
        row = client.get(accepted["links"]["self"]).json()
    assert (row["status"], row["answer"], row["citations"]) == ("completed", final["answer"], final["citations"])
    assert final["citations"][0]["title"] == "NULL and three-valued logic"
