
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('courses', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Guidance',
            fields=[
                ('course', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='guidance', serialize=False, to='courses.course')),
                ('level', models.CharField(choices=[('answers', 'Answers: full solutions, with an explanation'), ('hints-first', 'Hints first: a full solution only after the learner has tried'), ('hints-only', 'Hints only: never a full solution')], default='hints-first', max_length=12)),
            ],
            options={
                'verbose_name_plural': 'guidance',
            },
        ),
    ]
