"""One object with every setting, read from the environment (`ANSWERCLIP_…`, and `LIBRARY_DIR`).

Built once at the entry point and passed down.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

GIGABYTE = 1 << 30
MethodName = Literal["untrained", "default", "ccgs", "mutualsl", "bm25-span", "dpr-span"]


class Settings(BaseSettings):
    """Every field can be set as `ANSWERCLIP_<NAME>`; `library_dir` also as `LIBRARY_DIR`."""

    model_config = SettingsConfigDict(env_prefix="ANSWERCLIP_", populate_by_name=True, extra="ignore")

    library_dir: Path = Field(
        Path("library"),
        validation_alias=AliasChoices("LIBRARY_DIR", "ANSWERCLIP_LIBRARY_DIR"),
        description="the library folder; made when it is not there",
    )
    demo: bool = Field(True, description="fill an empty library with the demo videos of examples/")
    checkpoints_dir: Path = Field(
        Path(__file__).resolve().parent.parent / "checkpoints", description="trained weights"
    )

    method: MethodName = Field(
        "default", description="what answers: default, untrained, ccgs, mutualsl, bm25-span or dpr-span"
    )
    default_weights: Literal["all", "cc0"] = Field(
        "all",
        description="weights of the default method: trained on all sets (for research), or on CC0 data alone",
    )
    transcriber: Literal["auto", "whisper", "faster-whisper", "pocketsphinx"] = Field(
        "auto", description="auto: Whisper, and PocketSphinx where Whisper has no weights"
    )
    whisper_model: str = Field(
        "", description="Whisper size or path of a weights file; default: base on a CPU, small on a GPU"
    )
    language: str = Field("", description="spoken language (ISO 639-1); empty: detected")
    text_encoder: str = Field(
        "", description="folder or hub name of a Hugging Face encoder; empty: the packaged MiniLM"
    )
    i3d_url: str = Field(
        "",
        description="address of rgb_imagenet.pt, the picture network's weights; fetched with i3d_sha256 only",
    )
    i3d_sha256: str = Field(
        "",
        pattern="^([0-9a-fA-F]{64})?$",
        description="SHA-256 of that file; a file of another one is not used",
    )

    max_file_gb: float = Field(8.0, gt=0, description="largest file taken in (a GB is 2^30 bytes)")
    max_hours: float = Field(12.0, gt=0, description="longest video taken in")
    max_playlist: int = Field(50, gt=0, description="most videos taken from one playlist")
    links: bool = Field(True, description="whether links can be added")
    allowed_sites: tuple[str, ...] = Field(
        (), description='yt-dlp extractor names links are limited to, as JSON: ["youtube"]; empty: all'
    )
    allow_private_addresses: bool = Field(
        False, description="let links point into the local network (never on a shared server)"
    )

    shared: bool | None = Field(
        None,
        description="whether strangers use this server: then no folder of its disk can be added from the "
        "page; unset: found out (a Space, or a server that listens beyond this computer)",
    )
    read_only: bool = Field(
        False,
        description="visitors of the page and its endpoints may ask, watch and download, but change nothing: "
        "no adding, editing, deleting, feedback, export or import; the command line still can",
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="confidence below which the answer is 'not in your library'"
    )
    username: str = Field("", description="with a password: the page asks for it")
    password: str = Field("", description="see username")

    @model_validator(mode="after")
    def _login_is_whole(self) -> Settings:
        """Half a login would leave the page open to everybody without a word."""
        if bool(self.username) != bool(self.password):
            raise ValueError("set both ANSWERCLIP_USERNAME and ANSWERCLIP_PASSWORD, or neither")
        return self

    @property
    def auth(self) -> tuple[str, str] | None:
        return (self.username, self.password) if self.username else None

    @property
    def max_file_bytes(self) -> int:
        return int(self.max_file_gb * GIGABYTE)
