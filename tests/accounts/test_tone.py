"""The tone for a person comes from the registered sources."""

from accounts import tone


def test_first_source_with_a_tone_for_the_person_wins(monkeypatch):
    monkeypatch.setattr(tone, "_known_by", [])
    assert tone.tone_of(1) == ""
    tone.register(lambda user_id: "Be brief." if user_id == 1 else "")
    tone.register(lambda user_id: "Be patient.")
    assert [tone.tone_of(1), tone.tone_of(2)] == ["Be brief.", "Be patient."]
