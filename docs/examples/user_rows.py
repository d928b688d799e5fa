"""A row for everybody who signs in, which stays theirs when their name changes."""

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import UniqueConstraint
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_msal_errors import MsalAuth
from flask_msal_errors import signals


class Base(DeclarativeBase):
    pass


auth = MsalAuth()
db = SQLAlchemy(model_class=Base)


class Member(db.Model):
    __table_args__ = (UniqueConstraint("realm", "account"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    realm: Mapped[str]
    account: Mapped[str]
    name: Mapped[str] = mapped_column(default="")


def key_of(user):
    """Tenant and object id at Entra, issuer and subject at any other provider."""
    if user.tenant_id and user.object_id:
        return user.tenant_id, user.object_id
    return user.account


def member_of(user):
    realm, account = key_of(user)
    found = db.select(Member).filter_by(realm=realm, account=account)
    return db.session.scalar(found)


def keep(app, user, **extra):
    """Add the row at the first sign-in, and keep its name up to date."""
    member = member_of(user)
    if member is None:
        realm, account = key_of(user)
        member = Member(realm=realm, account=account)
        db.session.add(member)
    member.name = user.name
    try:
        db.session.commit()
    except IntegrityError:
        # Another tab signed the same person in at this moment.
        db.session.rollback()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.setdefault("SQLALCHEMY_DATABASE_URI", "sqlite:///members.db")
    db.init_app(app)
    auth.init_app(app)
    with app.app_context():
        db.create_all()
    for signal in (
        signals.signed_in,
        signals.reauthenticated,
        signals.user_rechecked,
    ):
        signal.connect(keep, app)

    @app.get("/me")
    @auth.login_required
    def me():
        member = member_of(auth.user)
        return f"Member {member.id}: {member.name}"

    return app
