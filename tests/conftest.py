"""Settings that have to be made before scikit-learn is imported."""

import os

# Without it scikit-learn's array API checks skip themselves silently. SciPy reads it on import.
os.environ["SCIPY_ARRAY_API"] = "1"
