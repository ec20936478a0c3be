from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("courses", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="passage",
            name="embedding_problem",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Why it has no embedding, if the embedding model rejected it.",
                max_length=300,
            ),
        ),
    ]
