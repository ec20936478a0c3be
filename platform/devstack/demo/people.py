"""The demo's people with known passwords: one learner, one tutor, one member of staff."""

from __future__ import annotations

from django.contrib.auth.models import User

from courses.models import Course, Enrollment


def load() -> None:
    """Create the people who do not exist; enroll the learner in all courses and let the tutor teach them."""
    for name in ("learner", "tutor", "staff"):
        is_staff = name == "staff"
        user, is_new = User.objects.get_or_create(
            username=name, defaults={"is_staff": is_staff, "is_superuser": is_staff}
        )
        if is_new:
            user.set_password(f"demo-{name}")
            user.save()
        for course in Course.objects.all():
            if name == "learner":
                Enrollment.objects.get_or_create(user=user, course=course)
            if name == "tutor":
                course.tutors.add(user)
