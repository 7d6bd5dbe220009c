/** What the example draws: the word by which the small default knows it, and the emoji's name in both sets. */
export interface Concept {
  name: string;
  icon: string;
  /** In which pictures it is drawn. `both`: one set's emoji in those to learn from, the other's in those held out; `train`: one of a set, `sets`: one of each */
  drawn: 'both' | 'held-out' | 'sets' | 'train';
}

const named = (drawn: Concept['drawn'], names: string): Concept[] =>
  names.split(' ').map((pair) => {
    const [name, icon = name] = pair.split(':') as [string, string?];
    return { name: name.replaceAll('-', ' '), icon, drawn };
  });

export const CONCEPTS: Concept[] = [
  ...named('both', 'dog:dog-face cat:cat-face pig:pig-face elephant penguin owl turtle snail butterfly fish whale:spouting-whale'),
  ...named('both', 'tree:evergreen-tree cactus mushroom tulip apple:red-apple banana cherry:cherries pizza cake:shortcake'),
  ...named('both', 'car:automobile bus bicycle rocket airplane house sun umbrella balloon guitar key bell camera clock:alarm-clock'),
  ...named('both', 'crown shirt:t-shirt'),
  ...named('held-out', 'rabbit:rabbit-face duck frog leaf:maple-leaf pear carrot boat:sailboat truck:delivery-truck book:closed-book'),
  ...named('held-out', 'lamp:light-bulb hat:top-hat gift:wrapped-gift'),
  // What many things have in common in lines is the style; learned from a few dozen, all else would look like one of them.
  ...named('sets', 'mouse:mouse-face horse:horse-face cow:cow-face tiger:tiger-face lion bear panda koala fox wolf monkey giraffe zebra sheep:ewe'),
  ...named('sets', 'goat camel:two-hump-camel kangaroo hedgehog bat snake lizard crocodile dragon dolphin shark octopus crab lobster bee:honeybee'),
  ...named('sets', 'ant spider chicken rooster eagle parrot swan flamingo palm:palm-tree rose sunflower lemon watermelon pineapple peach'),
  ...named('sets', 'strawberry tomato coconut avocado potato onion pepper:hot-pepper egg burger:hamburger sandwich cookie donut:doughnut taxi'),
  ...named('sets', 'tractor ambulance train ship helicopter castle church tent volcano mountain rainbow cloud moon:crescent-moon snowman'),
  ...named('sets', 'ball:soccer-ball violin trumpet drum pencil hammer lock:locked candle phone:mobile-phone computer:laptop chair bed door bucket'),
  ...named('sets', 'broom shoe:running-shoe dress trophy'),
  ...named('train', 'anchor envelope snowflake gorilla orangutan raccoon leopard moose donkey unicorn deer bison ox boar ram llama mammoth'),
  ...named('train', 'rhinoceros hippopotamus rat hamster chipmunk beaver sloth otter skunk badger turkey bird dove dodo feather peacock wing goose'),
  ...named('train', 'seal blowfish jellyfish shrimp squid oyster bug beetle cricket scorpion mosquito fly worm bouquet lotus hibiscus blossom'),
  ...named('train', 'seedling tangerine mango olive eggplant cucumber chestnut croissant pretzel bagel waffle taco burrito popcorn dumpling cupcake'),
  ...named('train', 'pie lollipop teapot spoon jar compass hut fountain tram minibus motorcycle skateboard canoe speedboat ferry parachute'),
  ...named('train', 'satellite watch thermometer star kite basketball sled joystick necktie scarf backpack purse handbag ring megaphone microphone'),
  ...named('train', 'saxophone accordion banjo flute telephone television flashlight scroll newspaper briefcase clipboard magnet ladder telescope'),
  ...named('train', 'microscope syringe bathtub toilet razor toothbrush shield axe dagger wrench screwdriver boomerang pick bomb'),
  ...named('train', 'keyboard comet shamrock alembic gear scissors poodle polar-bear sauropod coral lady-beetle cockroach spider-web'),
  ...named('train', 'microbe rosette hyacinth herb empty-nest blueberries kiwi-fruit ginger-root pea-pod flatbread poultry-leg tamale'),
  ...named('train', 'falafel canned-food bento-box rice-ball steaming-bowl fried-shrimp fortune-cookie takeout-box ice-cream chocolate-bar'),
  ...named('train', 'custard honey-pot baby-bottle wine-glass cocktail-glass tropical-drink beer-mug tumbler-glass beverage-box'),
  ...named('train', 'kitchen-knife amphora factory mosque synagogue carousel-horse playground-slide roller-coaster barber-pole circus-tent'),
  ...named('train', 'bullet-train metro trolleybus fire-engine motor-scooter auto-rickshaw kick-scooter roller-skate oil-drum fuel-pump'),
  ...named('train', 'stop-sign ring-buoy passenger-ship seat aerial-tramway flying-saucer luggage stopwatch ringed-planet shooting-star'),
  ...named('train', 'jack-o-lantern firecracker party-popper wind-chime red-envelope ribbon military-medal baseball softball'),
  ...named('train', 'american-football tennis flying-disc boxing-glove ice-skate fishing-pole diving-mask curling-stone bullseye yo-yo'),
  ...named('train', 'water-pistol crystal-ball magic-wand video-game game-die puzzle-piece teddy-bear mirror-ball chess-pawn artist-palette'),
  ...named('train', 'thread sewing-needle knot glasses sunglasses goggles lab-coat safety-vest coat socks kimono clutch-bag thong-sandal'),
  ...named('train', 'hiking-boot flat-shoe high-heeled-shoe hair-pick graduation-cap billed-cap military-helmet lipstick gem-stone'),
  ...named('train', 'loudspeaker postal-horn musical-keyboard long-drum maracas pager battery electric-plug desktop-computer printer'),
  ...named('train', 'computer-mouse trackball floppy-disk film-projector clapper-board label money-bag credit-card receipt package postbox'),
  ...named('train', 'fountain-pen paintbrush crayon file-folder calendar card-index bar-chart pushpin paperclip straight-ruler file-cabinet'),
  ...named('train', 'carpentry-saw clamp hook toolbox test-tube petri-dish pill crutch stethoscope elevator mirror window plunger shower'),
  ...named('train', 'mouse-trap lotion-bottle safety-pin soap sponge fire-extinguisher shopping-cart cigarette coffin headstone funeral-urn'),
  ...named('train', 'moai placard'),
]; // prettier-ignore

export const withArticle = (name: string) => `${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`;

/** What the example's judge tells apart: all that is held out. */
export const JUDGED = CONCEPTS.filter(({ drawn }) => drawn === 'both' || drawn === 'held-out');
