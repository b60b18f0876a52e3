"""The demo's videos in the order of the library."""

from .ankle import FILM as ANKLE
from .burn import FILM as BURN
from .button import FILM as BUTTON
from .coffee import FILM as COFFEE
from .cpr import FILM as CPR
from .fuse import FILM as FUSE
from .knife import FILM as KNIFE
from .knots import FILM as KNOTS
from .repot import FILM as REPOT
from .tube import FILM as TUBE

FILMS = (ANKLE, BURN, CPR, TUBE, REPOT, KNOTS, KNIFE, COFFEE, BUTTON, FUSE)
