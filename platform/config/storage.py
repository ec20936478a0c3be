"""Where `collectstatic` puts the static files, and under which names pages find them."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """Names carry a hash of the content, also in the imports between our modules, so browsers may keep files for good.

    A file's name follows from what it imports: two files that import each other, even in a JSDoc type, have none,
    and `collectstatic` ends with "Max post-process passes exceeded".
    """

    support_js_module_import_aggregation = True
