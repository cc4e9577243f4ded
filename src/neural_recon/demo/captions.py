"""Five differently worded captions for a scene, as people would have written them."""

import numpy as np

from neural_recon.demo.scenes import Object, Scene

NAMES = {
    "house": ("house", "cottage", "family house"),
    "tree": ("tree with {} fruit", "fruit tree with {} fruit", "leafy tree full of {} fruit"),
    "car": ("car", "automobile", "sedan"),
    "sailboat": ("sailboat", "sailing boat", "boat with a sail"),
    "fish": ("fish", "striped fish", "swimming fish"),
    "cat": ("cat", "kitten", "sitting cat"),
    "bird": ("bird", "songbird", "bird with wings"),
    "flower": ("flower", "blossom", "blooming flower"),
    "mushroom": ("mushroom", "toadstool", "spotted mushroom"),
    "umbrella": ("umbrella", "open umbrella", "parasol"),
    "balloon": ("hot air balloon", "balloon", "balloon with a basket"),
    "cup": ("cup", "coffee mug", "mug of hot coffee"),
    "snowman": ("snowman with a {} hat", "snowman with a {} scarf", "snow man in a {} hat and scarf"),
    "rocket": ("rocket", "space rocket", "rocket ship"),
}
PLACES = {
    "meadow": ("in a green meadow", "on a grassy hill", "in a field of grass under a blue sky"),
    "beach": ("on the beach", "on a sandy shore by the sea", "on the sand near the ocean"),
    "underwater": ("under water", "at the bottom of the sea", "in deep water with bubbles"),
    "desert": ("in the desert", "among sand dunes", "in front of dunes under an orange sky"),
    "night": ("at night", "under the moon and the stars", "in the dark under a starry sky"),
    "snow": ("in the snow", "on a snowy field", "in a winter landscape with fir trees"),
    "city": ("in the city", "on a street in front of tall buildings", "by a road with skyscrapers"),
    "room": ("in a room", "indoors on a wooden floor", "inside a room with a window"),
}
SIZES = ((0.48, ("small", "little")), (0.62, ("", "")), (1.0, ("big", "large")))


def _name(thing: Object, rng: np.random.Generator) -> str:
    """The object with an article and its colour, in one of several wordings."""
    name = str(rng.choice(NAMES[thing.kind]))
    words = name.format(thing.colour) if "{}" in name else f"{thing.colour} {name}"
    if rng.random() < 0.5:
        size = next(adjectives for limit, adjectives in SIZES if thing.size < limit)
        words = f"{rng.choice(size)} {words}".strip()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def captions(scene: Scene, seed: int) -> list[str]:
    """Five captions of `scene`; all name the main object, its colour and the place."""
    rng = np.random.default_rng([seed, scene.detail])
    places = [str(rng.choice(PLACES[scene.background])) for _ in range(5)]
    main = [_name(scene.objects[0], rng) for _ in range(5)]
    if len(scene.objects) == 1:
        side = ("on the left", "in the middle", "on the right")[
            int(np.digitize(scene.objects[0].x, (0.43, 0.57)))
        ]
        texts = [
            f"{main[0]} {places[0]}.",
            f"There is {main[1]} {places[1]}.",
            f"A picture of {main[2]} {places[2]}.",
            f"{main[3]} {side}, {places[3]}.",
            f"We see {main[4]} standing alone {places[4]}.",
        ]
    else:
        other = [_name(scene.objects[1], rng) for _ in range(5)]
        side = "left" if scene.objects[1].x < scene.objects[0].x else "right"
        texts = [
            f"{main[0]} and {other[0]} {places[0]}.",
            f"There is {main[1]} next to {other[1]} {places[1]}.",
            f"{main[2]} with {other[2]} to its {side}, {places[2]}.",
            f"A picture of {main[3]} {places[3]}.",
            f"{other[4]} beside {main[4]} {places[4]}.",
        ]
    return [text[0].upper() + text[1:] for text in texts]
