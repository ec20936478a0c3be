"""Storage of static files for `collectstatic`, with hashed names."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """Adds a content hash to file names, also in imports between JavaScript modules, so browsers can cache forever.

    A file's hash depends on the files that it imports. If two files import each other, even in a JSDoc type, there is
    no hash for them, and `collectstatic` fails with "Max post-process passes exceeded".
    """

    support_js_module_import_aggregation = True
