from django.urls import path

from courses import pages
from courses.api import CourseListView, CourseView, LessonView

app_name = "courses"
urlpatterns = [
    path("courses/", pages.course_list, name="list"),
    path("courses/<slug:slug>/", pages.course, name="course"),
    path("lessons/<int:pk>/", pages.lesson, name="lesson"),
    path("api/courses", CourseListView.as_view(), name="api-list"),
    path("api/courses/<str:course_id>", CourseView.as_view(), name="api-course"),
    path("api/lessons/<str:lesson_id>", LessonView.as_view(), name="api-lesson"),
]
